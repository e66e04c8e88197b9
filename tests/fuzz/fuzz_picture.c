/* Any bytes, as a picture. What is accepted must be readable to its end. */
#include "data/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* The last byte, which belongs to the end mark of a whole picture, also says how to decode. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    int choice = length ? bytes[length - 1] : 0;
    struct picture picture;
    if (picture_decode(&picture, "fuzz", bytes, length, choice & 1 ? 1 : 3, choice >> 1) == 0) {
        size_t count = (size_t)picture.width * (size_t)picture.height * (size_t)picture.channels;
        volatile uint8_t last = picture.pixels[count - 1];
        (void)last;
    }
    picture_free(&picture);
    return 0;
}
