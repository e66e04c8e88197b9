/* A zoo of pictures, made here by libjpeg and libpng, against these libraries' own output and
 * against what their samples mean. */
#include "data/picture.h"

#include "base/file.h"
#include "data/files.h"
#include "support/suite.h"

#include <jpeglib.h>
#include <math.h>
#include <png.h>

enum { WIDTH = 37, HEIGHT = 23, BYTES_MAX = 1 << 20, PALETTE = 256 };

static uint8_t bytes[BYTES_MAX];
static size_t length;

/* Noise that is the same in every run. */
static uint8_t noise(uint32_t i) {
    uint32_t h = (i + 1) * 2654435761U;
    h = (h ^ h >> 15) * 2246822519U;
    return (uint8_t)(h >> 24);
}

static int is_flat;

/* A smooth picture with some noise on it; or one of a single colour. */
static uint8_t sample(int x, int y, int c) {
    if (is_flat)
        return 200;
    return (uint8_t)((x * (3 + c) + y * (5 - c) + (noise((uint32_t)(x + 99 * y + c)) >> 4)) & 255);
}

/* How a JPEG is made: the space of the pixels given, that of the file, and its kind. */
struct jpeg_kind {
    J_COLOR_SPACE pixels, file;
    int progressive;
    int unmarked;   /* without Adobe's marker */
    int every_scan; /* a scan for each coefficient */
};

static void choose_scans(struct jpeg_compress_struct *info, jpeg_scan_info scans[1 + 3 * 63]) {
    int count = 0;
    scans[count++] = (jpeg_scan_info){3, {0, 1, 2, 0}, 0, 0, 0, 0};
    for (int c = 0; c < 3; c++) {
        for (int k = 1; k < 64; k++)
            scans[count++] = (jpeg_scan_info){1, {c, 0, 0, 0}, k, k, 0, 0};
    }
    info->scan_info = scans;
    info->num_scans = count;
}

static void make_jpeg(const struct jpeg_kind *kind, int width, int height) {
    static jpeg_scan_info scans[1 + 3 * 63];
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char *to = NULL;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &to, &size);
    info.image_width = (JDIMENSION)width;
    info.image_height = (JDIMENSION)height;
    info.in_color_space = kind->pixels;
    info.input_components = kind->pixels == JCS_CMYK ? 4 : kind->pixels == JCS_RGB ? 3 : 1;
    jpeg_set_defaults(&info);
    jpeg_set_colorspace(&info, kind->file);
    jpeg_set_quality(&info, 90, TRUE);
    if (kind->progressive)
        jpeg_simple_progression(&info);
    if (kind->unmarked)
        info.write_Adobe_marker = FALSE;
    if (kind->every_scan)
        choose_scans(&info, scans);
    jpeg_start_compress(&info, TRUE);
    uint8_t *row = malloc((size_t)width * 4);
    ck_assert_ptr_nonnull(row);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < info.input_components; c++)
                row[x * info.input_components + c] = sample(x, y, c);
        }
        (void)jpeg_write_scanlines(&info, &row, 1);
    }
    free(row);
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    ck_assert_uint_le(size, BYTES_MAX);
    memcpy(bytes, to, size);
    length = size;
    free(to);
}

/* libjpeg's own pixels; the caller frees. */
static uint8_t *own_jpeg(J_COLOR_SPACE space, unsigned denominator, int *width, int *height) {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes, length);
    ck_assert_int_eq(jpeg_read_header(&info, TRUE), JPEG_HEADER_OK);
    info.out_color_space = space;
    info.scale_num = 1;
    info.scale_denom = denominator;
    (void)jpeg_start_decompress(&info);
    size_t stride = (size_t)info.output_width * (size_t)info.output_components;
    uint8_t *pixels = malloc(stride * info.output_height);
    ck_assert_ptr_nonnull(pixels);
    while (info.output_scanline < info.output_height) {
        uint8_t *row = pixels + stride * info.output_scanline;
        (void)jpeg_read_scanlines(&info, &row, 1);
    }
    *width = (int)info.output_width;
    *height = (int)info.output_height;
    (void)jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return pixels;
}

/* Decodes `bytes` and compares with libjpeg's pixels. */
static void check_jpeg(int channels, int least_side, unsigned denominator) {
    struct picture picture;
    ck_succeeds(picture_decode(&picture, "f.jpg", bytes, length, channels, least_side));
    int width, height;
    uint8_t *want = own_jpeg(channels == 1 ? JCS_GRAYSCALE : JCS_RGB, denominator, &width, &height);
    ck_assert_int_eq(picture.width, width);
    ck_assert_int_eq(picture.height, height);
    ck_assert_int_eq(picture.channels, channels);
    ck_assert_mem_eq(picture.pixels, want, (size_t)width * (size_t)height * (size_t)channels);
    free(want);
    picture_free(&picture);
}

static const struct jpeg_kind colour = {.pixels = JCS_RGB, .file = JCS_YCbCr};
static const struct jpeg_kind many_scans = {.pixels = JCS_RGB, .file = JCS_YCbCr, .progressive = 1};

START_TEST(jpegs_of_grey_and_colours_decode_as_libjpeg_does) {
    static const struct jpeg_kind kinds[] = {{JCS_GRAYSCALE, JCS_GRAYSCALE, 0, 0, 0},
                                             {JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 0, 0},
                                             {JCS_RGB, JCS_YCbCr, 0, 0, 0},
                                             {JCS_RGB, JCS_YCbCr, 1, 0, 0},
                                             {JCS_RGB, JCS_RGB, 0, 0, 0},
                                             {JCS_RGB, JCS_RGB, 1, 0, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        make_jpeg(&kinds[i], WIDTH, HEIGHT);
        check_jpeg(3, 0, 1);
        check_jpeg(1, 0, 1);
    }
}
END_TEST

START_TEST(jpegs_are_reduced_while_the_short_side_stays_long_enough) {
    static const struct {
        int least_side;
        unsigned denominator;
    } rows[] = {{0, 1},  {201, 1}, {151, 1}, {150, 2}, {76, 2}, {75, 4},
                {38, 4}, {37, 8},  {10, 8},  {1, 8},   {400, 1}};
    make_jpeg(&colour, 404, 300);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_jpeg(3, rows[i].least_side, rows[i].denominator);
        check_jpeg(1, rows[i].least_side, rows[i].denominator);
    }
}
END_TEST

static uint8_t grey_of(const uint8_t rgb[3]) {
    return (uint8_t)lround(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]);
}

/* What libjpeg hands out of a CMYK file, as ink on paper. */
static void check_cmyk(int inverted, int channels) {
    struct picture picture;
    ck_succeeds(picture_decode(&picture, "f.jpg", bytes, length, channels, 0));
    int width, height;
    uint8_t *cmyk = own_jpeg(JCS_CMYK, 1, &width, &height);
    for (int i = 0; i < width * height; i++) {
        uint8_t rgb[3];
        for (int c = 0; c < 3; c++) {
            double colour_ink = cmyk[4 * i + c] / 255.0, black_ink = cmyk[4 * i + 3] / 255.0;
            if (inverted)
                colour_ink = 1 - colour_ink, black_ink = 1 - black_ink;
            rgb[c] = (uint8_t)lround(255 * (1 - colour_ink) * (1 - black_ink));
        }
        if (channels == 1)
            ck_assert_int_le(abs(picture.pixels[i] - grey_of(rgb)), 1);
        for (int c = 0; channels == 3 && c < 3; c++)
            ck_assert_int_eq(picture.pixels[3 * i + c], rgb[c]);
    }
    free(cmyk);
    picture_free(&picture);
}

START_TEST(jpegs_of_ink_become_light_whether_adobe_inverted_them_or_not) {
    static const struct jpeg_kind kinds[] = {{JCS_CMYK, JCS_CMYK, 0, 0, 0},
                                             {JCS_CMYK, JCS_YCCK, 0, 0, 0},
                                             {JCS_CMYK, JCS_YCCK, 1, 0, 0},
                                             {JCS_CMYK, JCS_CMYK, 0, 1, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        make_jpeg(&kinds[i], WIDTH, HEIGHT);
        check_cmyk(!kinds[i].unmarked, 3);
        check_cmyk(!kinds[i].unmarked, 1);
    }
}
END_TEST

/* How a PNG is made. Samples are noise, or that noise and a mask. */
struct png_kind {
    int type, depth, interlaced;
    int transparent; /* has a tRNS chunk: of grey and colours, this sample value (each) */
    uint8_t mask;
};

static uint8_t *raw; /* the samples as they lie in the file */
static size_t raw_stride;
static png_color palette[PALETTE];
static uint8_t palette_alpha[PALETTE];

static void put_bytes(png_structp png, png_bytep from, size_t count) {
    (void)png;
    ck_assert_uint_le(length + count, BYTES_MAX);
    memcpy(bytes + length, from, count);
    length += count;
}

static void put_palette(png_structp png, png_infop info, const struct png_kind *kind) {
    for (uint32_t i = 0; i < PALETTE; i++) {
        palette[i] = (png_color){noise(5 * i), noise(5 * i + 1), noise(5 * i + 2)};
        palette_alpha[i] = noise(5 * i + 3);
    }
    png_set_PLTE(png, info, palette, 1 << kind->depth);
    if (kind->transparent)
        png_set_tRNS(png, info, palette_alpha, 1 << kind->depth, NULL);
}

static void make_png(const struct png_kind *kind) {
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(png);
    png_infop info = png_create_info_struct(png);
    ck_assert_ptr_nonnull(info);
    length = 0;
    png_set_write_fn(png, NULL, put_bytes, NULL);
    png_set_IHDR(png, info, WIDTH, HEIGHT, kind->depth, kind->type,
                 kind->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_uint_16 value = (png_uint_16)kind->transparent;
    png_color_16 key = {0, value, value, value, value};
    if (kind->type == PNG_COLOR_TYPE_PALETTE)
        put_palette(png, info, kind);
    else if (kind->transparent)
        png_set_tRNS(png, info, NULL, 0, &key);
    png_write_info(png, info);
    raw_stride = png_get_rowbytes(png, info);
    free(raw);
    raw = malloc(raw_stride * HEIGHT);
    ck_assert_ptr_nonnull(raw);
    png_bytep rows[HEIGHT];
    for (size_t i = 0; i < raw_stride * HEIGHT; i++)
        raw[i] = kind->mask ? noise((uint32_t)i) & kind->mask : noise((uint32_t)i);
    for (size_t y = 0; y < HEIGHT; y++)
        rows[y] = raw + y * raw_stride;
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

static unsigned raw_sample(const struct png_kind *kind, int y, int index) {
    const uint8_t *row = raw + (size_t)y * raw_stride;
    if (kind->depth == 16)
        return (unsigned)row[2 * index] << 8 | row[2 * index + 1];
    int bit = index * kind->depth;
    return row[bit / 8] >> (8 - kind->depth - bit % 8) & ((1U << kind->depth) - 1);
}

/* What a pixel of the file means, over white. */
static void meaning(const struct png_kind *kind, int x, int y, uint8_t rgb[3]) {
    int have = kind->type == PNG_COLOR_TYPE_RGB          ? 3
               : kind->type == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
               : kind->type == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                         : 1;
    double most = (1U << kind->depth) - 1, values[4] = {0}, alpha = 1;
    int is_key = kind->transparent != 0;
    for (int c = 0; c < have; c++) {
        unsigned value = raw_sample(kind, y, x * have + c);
        values[c] = round(value * 255 / most);
        is_key = is_key && value == (unsigned)kind->transparent;
    }
    if (kind->type == PNG_COLOR_TYPE_PALETTE) {
        unsigned i = raw_sample(kind, y, x);
        values[0] = palette[i].red, values[1] = palette[i].green, values[2] = palette[i].blue;
        if (kind->transparent)
            alpha = palette_alpha[i] / 255.0;
    } else if (have % 2 == 0) {
        alpha = values[have - 1] / 255.0;
    } else if (is_key) {
        alpha = 0;
    }
    int grey = have < 3 && kind->type != PNG_COLOR_TYPE_PALETTE;
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)lround(values[grey ? 0 : c] * alpha + 255 * (1 - alpha));
}

static void check_png(const struct png_kind *kind) {
    struct picture colours, grey;
    make_png(kind);
    ck_succeeds(picture_decode(&colours, "f.png", bytes, length, 3, 0));
    ck_succeeds(picture_decode(&grey, "f.png", bytes, length, 1, 9));
    ck_assert_int_eq(colours.width, WIDTH);
    ck_assert_int_eq(grey.height, HEIGHT);
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            uint8_t want[3];
            meaning(kind, x, y, want);
            int i = y * WIDTH + x;
            ck_assert_mem_eq(colours.pixels + (size_t)3 * (size_t)i, want, 3);
            ck_assert_int_le(abs(grey.pixels[i] - grey_of(want)), 1);
        }
    }
    picture_free(&colours);
    picture_free(&grey);
}

START_TEST(pngs_of_every_type_and_depth_mean_their_samples_over_white) {
    static const struct png_kind kinds[] = {
        {PNG_COLOR_TYPE_GRAY, 1, 0, 0, 0},       {PNG_COLOR_TYPE_GRAY, 2, 0, 0, 0},
        {PNG_COLOR_TYPE_GRAY, 4, 0, 0, 0},       {PNG_COLOR_TYPE_GRAY, 8, 0, 0, 0},
        {PNG_COLOR_TYPE_GRAY, 16, 0, 0, 0},      {PNG_COLOR_TYPE_RGB, 8, 0, 0, 0},
        {PNG_COLOR_TYPE_RGB, 16, 0, 0, 0},       {PNG_COLOR_TYPE_PALETTE, 1, 0, 0, 0},
        {PNG_COLOR_TYPE_PALETTE, 2, 0, 0, 0},    {PNG_COLOR_TYPE_PALETTE, 4, 0, 1, 0},
        {PNG_COLOR_TYPE_PALETTE, 8, 0, 0, 0},    {PNG_COLOR_TYPE_PALETTE, 8, 0, 1, 0},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 0, 0, 0}, {PNG_COLOR_TYPE_GRAY_ALPHA, 16, 0, 0, 0},
        {PNG_COLOR_TYPE_RGB_ALPHA, 8, 0, 0, 0},  {PNG_COLOR_TYPE_RGB_ALPHA, 16, 0, 0, 0},
        {PNG_COLOR_TYPE_GRAY, 1, 0, 1, 0},       {PNG_COLOR_TYPE_GRAY, 8, 0, 3, 7},
        {PNG_COLOR_TYPE_RGB, 8, 0, 1, 1},        {PNG_COLOR_TYPE_RGB, 16, 0, 257, 1},
        {PNG_COLOR_TYPE_GRAY, 16, 0, 258, 3},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct png_kind kind = kinds[i];
        check_png(&kind);
        kind.interlaced = 1;
        check_png(&kind);
    }
}
END_TEST

START_TEST(opaque_pngs_decode_as_libpng_does) {
    static const struct png_kind kinds[] = {{PNG_COLOR_TYPE_GRAY, 4, 0, 0, 0},
                                            {PNG_COLOR_TYPE_RGB, 8, 1, 0, 0},
                                            {PNG_COLOR_TYPE_PALETTE, 8, 0, 0, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        make_png(&kinds[i]);
        struct picture picture;
        ck_succeeds(picture_decode(&picture, "f.png", bytes, length, 3, 0));
        static uint8_t want[HEIGHT][WIDTH][3];
        png_image image = {.version = PNG_IMAGE_VERSION};
        ck_assert(png_image_begin_read_from_memory(&image, bytes, length));
        image.format = PNG_FORMAT_RGB;
        ck_assert(png_image_finish_read(&image, NULL, want, 0, NULL));
        ck_assert_mem_eq(picture.pixels, want, sizeof want);
        picture_free(&picture);
    }
}
END_TEST

/* Decoding fails, whatever the channels, and leaves nothing behind. */
static void check_broken(size_t count, const char *text) {
    struct picture picture;
    for (int channels = 1; channels <= 3; channels += 2) {
        /* A copy of its own, so that a sanitizer sees what is read beyond it. */
        uint8_t *copy = malloc(count ? count : 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, bytes, count);
        ck_fails(picture_decode(&picture, "dir/f", copy, count, channels, 0), ERROR_INPUT,
                 "dir/f: ");
        ck_assert_msg(strstr(error_message(), text) != NULL, "message is: %s", error_message());
        ck_assert_ptr_null(picture.pixels);
        free(copy);
    }
}

START_TEST(what_is_no_picture_is_refused) {
    check_broken(0, "empty");
    (void)snprintf((char *)bytes, BYTES_MAX, "This is a text, whatever its name says.\n");
    check_broken(strlen((const char *)bytes), "neither a JPEG nor a PNG");
    memcpy(bytes, "\xff\xd8\xff", 3);
    check_broken(2, "neither a JPEG nor a PNG");
    check_broken(3, "broken JPEG");
    memcpy(bytes, "\x89PNG\r\n\x1a\n", 8);
    check_broken(7, "neither a JPEG nor a PNG");
    check_broken(8, "broken PNG");
}
END_TEST

START_TEST(jpegs_cut_off_anywhere_are_refused) {
    make_jpeg(&colour, WIDTH, HEIGHT);
    for (size_t count = 3; count < length; count++)
        check_broken(count, "broken JPEG");
    make_jpeg(&many_scans, WIDTH, HEIGHT);
    for (size_t count = 3; count < length; count++)
        check_broken(count, "broken JPEG");
}
END_TEST

START_TEST(pngs_cut_off_anywhere_are_refused) {
    make_png(&(struct png_kind){PNG_COLOR_TYPE_PALETTE, 4, 0, 1, 0});
    for (size_t count = 8; count < length; count++)
        check_broken(count, "broken PNG");
    make_png(&(struct png_kind){PNG_COLOR_TYPE_RGB, 8, 1, 0, 1});
    for (size_t count = 8; count < length; count++)
        check_broken(count, "broken PNG");
}
END_TEST

START_TEST(damaged_pictures_are_refused) {
    make_jpeg(&colour, WIDTH, HEIGHT);
    memset(bytes + length / 2, 0, 100);
    memset(bytes + length - 100, 0xff, 98);
    check_broken(length, "broken JPEG");
    make_png(&(struct png_kind){PNG_COLOR_TYPE_RGB, 8, 0, 0, 0});
    bytes[length / 2] ^= 1;
    check_broken(length, "broken PNG");
}
END_TEST

START_TEST(bytes_between_a_jpegs_pixels_and_its_end_do_no_harm) {
    make_jpeg(&colour, WIDTH, HEIGHT);
    memcpy(bytes + length - 2, "\0\0\0\xff\xd9", 5);
    length += 3;
    struct picture picture;
    ck_succeeds(picture_decode(&picture, "f.jpg", bytes, length, 3, 0));
    picture_free(&picture);
}
END_TEST

START_TEST(jpegs_of_absurdly_many_scans_are_refused) {
    struct jpeg_kind kind = many_scans;
    kind.every_scan = 1;
    make_jpeg(&kind, WIDTH, HEIGHT);
    check_broken(length, "more than 100 scans");
}
END_TEST

/* Writes another size into the header of the JPEG. */
static void claim_jpeg(unsigned width, unsigned height) {
    make_jpeg(&colour, WIDTH, HEIGHT);
    size_t i = 0;
    while (bytes[i] != 0xff || bytes[i + 1] != 0xc0)
        ck_assert_uint_lt(++i, length);
    memcpy(bytes + i + 5, (uint8_t[]){height >> 8, height & 255, width >> 8, width & 255}, 4);
}

static void claim_png(uint32_t width, uint32_t height) {
    make_png(&(struct png_kind){PNG_COLOR_TYPE_RGB, 8, 0, 0, 0});
    png_save_uint_32(bytes + 16, width);
    png_save_uint_32(bytes + 20, height);
    png_save_uint_32(bytes + 29, (png_uint_32)crc32(0, bytes + 12, 17));
}

START_TEST(sizes_are_bounded_before_anything_is_allocated) {
    claim_jpeg(40000, 10);
    check_broken(length, "40000 x 10 pixels; no side may be longer than 32768");
    claim_jpeg(20000, 20000);
    check_broken(length, "20000 x 20000 pixels; it may have 134217728 at most");
    claim_png(10, 40000);
    check_broken(length, "10 x 40000 pixels; no side may be longer than 32768");
    claim_png(20000, 20000);
    check_broken(length, "20000 x 20000 pixels; it may have 134217728 at most");
    claim_png(0x7fffffff, 0x7fffffff);
    check_broken(length, "broken PNG");
}
END_TEST

START_TEST(nothing_is_allocated_that_a_small_file_cannot_hold) {
    claim_jpeg(8000, 8000);
    check_broken(length, "bytes are too few for its pixels");
    claim_png(8000, 8000);
    check_broken(length, "bytes are too few for its pixels");
}
END_TEST

START_TEST(large_pictures_of_one_colour_are_small_files_and_fine) {
    struct picture picture;
    ck_succeeds(picture_create(&picture, 3000, 2000, 3));
    memset(picture.pixels, 200, (size_t)3000 * 2000 * 3);
    ck_succeeds(picture_write_png(file_path("flat.png"), &picture));
    picture_free(&picture);
    char *data;
    ck_succeeds(file_read(path_text, BYTES_MAX, &data, &length));
    ck_succeeds(picture_decode(&picture, "flat.png", (uint8_t *)data, length, 3, 0));
    free(data);
    ck_assert_int_eq(picture.pixels[(size_t)3000 * 2000 * 3 - 1], 200);
    picture_free(&picture);

    is_flat = 1;
    make_jpeg(&many_scans, 3000, 2000);
    is_flat = 0;
    ck_succeeds(picture_decode(&picture, "flat.jpg", bytes, length, 3, 0));
    picture_free(&picture);
}
END_TEST

START_TEST(written_pngs_decode_to_the_same_pixels) {
    for (int channels = 1; channels <= 3; channels += 2) {
        struct picture picture, got;
        ck_succeeds(picture_create(&picture, WIDTH, HEIGHT, channels));
        size_t count = (size_t)WIDTH * HEIGHT * (size_t)channels, size;
        for (size_t i = 0; i < count; i++)
            picture.pixels[i] = noise((uint32_t)i);
        ck_succeeds(picture_write_png(file_path("out.png"), &picture));
        char *data;
        ck_succeeds(file_read(path_text, BYTES_MAX, &data, &size));
        ck_succeeds(picture_decode(&got, "out.png", (uint8_t *)data, size, channels, 0));
        free(data);
        ck_assert_int_eq(got.width, WIDTH);
        ck_assert_mem_eq(got.pixels, picture.pixels, count);
        picture_free(&got);
        picture_free(&picture);
    }
}
END_TEST

START_TEST(a_png_that_cannot_be_written_says_why) {
    struct picture picture;
    ck_succeeds(picture_create(&picture, WIDTH, HEIGHT, 3));
    memset(picture.pixels, 0, (size_t)WIDTH * HEIGHT * 3);
    ck_fails(picture_write_png(file_path("none/out.png"), &picture), ERROR_SYSTEM,
             "none/out.png: cannot write here: No such file");
    picture_free(&picture);
    picture_free(&picture);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("picture");
    tcase_add_checked_fixture(tests, files_setup, files_teardown);
    tcase_add_test(tests, jpegs_of_grey_and_colours_decode_as_libjpeg_does);
    tcase_add_test(tests, jpegs_are_reduced_while_the_short_side_stays_long_enough);
    tcase_add_test(tests, jpegs_of_ink_become_light_whether_adobe_inverted_them_or_not);
    tcase_add_test(tests, pngs_of_every_type_and_depth_mean_their_samples_over_white);
    tcase_add_test(tests, opaque_pngs_decode_as_libpng_does);
    tcase_add_test(tests, what_is_no_picture_is_refused);
    tcase_add_test(tests, jpegs_cut_off_anywhere_are_refused);
    tcase_add_test(tests, pngs_cut_off_anywhere_are_refused);
    tcase_add_test(tests, damaged_pictures_are_refused);
    tcase_add_test(tests, bytes_between_a_jpegs_pixels_and_its_end_do_no_harm);
    tcase_add_test(tests, jpegs_of_absurdly_many_scans_are_refused);
    tcase_add_test(tests, sizes_are_bounded_before_anything_is_allocated);
    tcase_add_test(tests, nothing_is_allocated_that_a_small_file_cannot_hold);
    tcase_add_test(tests, large_pictures_of_one_colour_are_small_files_and_fine);
    tcase_add_test(tests, written_pngs_decode_to_the_same_pixels);
    tcase_add_test(tests, a_png_that_cannot_be_written_says_why);
    int rc = suite_run("data/picture", tests);
    free(raw);
    return rc;
}
