/* Pictures as people have them: JPEG and PNG, told apart by content, as 8-bit pixels.
 *
 * JPEG by libjpeg-turbo: grey, YCbCr, RGB, CMYK and YCCK, baseline and progressive. PNG by libpng:
 * every colour type and depth, interlaced or not; what is transparent is laid over white.
 */
#ifndef DATA_PICTURE_H
#define DATA_PICTURE_H

#include <stddef.h>
#include <stdint.h>

/* No side may be longer, and no picture may have more pixels: checked before anything is allocated.
 */
enum { PICTURE_SIDE_MAX = 32768, PICTURE_PIXELS_MAX = 1 << 27 };

struct picture {
    int width, height;
    int channels;    /* 1 or 3 */
    uint8_t *pixels; /* [height][width][channels] */
};

/* Decodes a file's bytes to 1 channel (luminance) or 3 (red, green, blue; grey becomes three equal
 * ones). A JPEG may come out reduced to 1/2, 1/4 or 1/8, as long as its short side keeps at least
 * `least_side` pixels; 0: always whole. `name` is for messages. Bytes that are no such picture, or
 * a broken or truncated one, are ERROR_INPUT. Free with picture_free. */
int picture_decode(struct picture *out, const char *name, const uint8_t *bytes, size_t length,
                   int channels, int least_side);

/* A picture of undefined pixels. */
int picture_create(struct picture *out, int width, int height, int channels);

void picture_free(struct picture *picture);

/* Writes a PNG by way of base/file: the file is whole or not there. */
int picture_write_png(const char *path, const struct picture *picture);

#endif
