#include "data/picture.h"

#include "base/error.h"
#include "base/file.h"

#include <jerror.h>
#include <jpeglib.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum {
    PNG_MAGIC = 8,
    JPEG_END_OF_IMAGE = 0xd9,
    JPEG_SCANS_MAX = 100, /* encoders write about ten; a file of thousands only costs time */
    JPEG_REDUCTION_MAX = 8,
    /* Pixels to a byte of a JPEG: a block of 64 takes a bit at least, and odd samplings of the
     * channels may halve the blocks. This leaves room to spare. */
    JPEG_RATIO_MAX = 2048,
    DEFLATE_RATIO_MAX = 1032, /* a byte of deflated data holds at most so many */
};

int picture_create(struct picture *out, int width, int height, int channels) {
    size_t size = (size_t)width * (size_t)height * (size_t)channels;
    *out = (struct picture){width, height, channels, malloc(size)};
    if (out->pixels)
        return 0;
    *out = (struct picture){0};
    return error_no_memory("a picture", size);
}

void picture_free(struct picture *picture) {
    free(picture->pixels);
    *picture = (struct picture){0};
}

static int check_size(const char *name, uint32_t width, uint32_t height) {
    if (width > PICTURE_SIDE_MAX || height > PICTURE_SIDE_MAX)
        return error_set(ERROR_INPUT, "%s: %u x %u pixels; no side may be longer than %d", name,
                         width, height, PICTURE_SIDE_MAX);
    if ((uint64_t)width * height > PICTURE_PIXELS_MAX)
        return error_set(ERROR_INPUT, "%s: %u x %u pixels; it may have %d at most", name, width,
                         height, PICTURE_PIXELS_MAX);
    return 0;
}

/* Of ITU-R BT.601, with the rounding of libjpeg. */
static uint8_t luminance(unsigned red, unsigned green, unsigned blue) {
    return (uint8_t)((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16);
}

static uint8_t *picture_row(const struct picture *picture, uint32_t y) {
    return picture->pixels + (size_t)y * (size_t)picture->width * (size_t)picture->channels;
}

static void put_pixel(uint8_t *row, int x, int channels, const uint8_t rgb[3]) {
    if (channels == 1)
        row[x] = luminance(rgb[0], rgb[1], rgb[2]);
    else
        memcpy(row + (size_t)3 * (size_t)x, rgb, 3);
}

/* Whether a file of this length can hold what takes at least so many bytes: a header may announce
 * anything, and nothing large is allocated on its word alone. */
static int check_length(const char *name, size_t length, uint64_t least) {
    if (length >= least)
        return 0;
    return error_set(ERROR_INPUT, "%s: truncated: its %zu bytes are too few for its pixels", name,
                     length);
}

/* What a decoder works on. Both libraries report failures by jumping; everything that changes lies
 * here and not in the variables of the function that is jumped to. */
struct decoder {
    struct picture *out;
    const char *name;
    const uint8_t *bytes;
    size_t length;
    int channels, least_side;
    jmp_buf failed;
    char message[JMSG_LENGTH_MAX];
};

struct jpeg {
    struct decoder decoder;
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
};

static void fail_jpeg(j_common_ptr info) {
    struct jpeg *jpeg = info->client_data;
    info->err->format_message(info, jpeg->decoder.message);
    longjmp(jpeg->decoder.failed, 1);
}

/* Whether a warning means that a part of the picture is lost. The others are about headers that
 * many cameras get wrong, and bytes between the picture and its end. */
static int is_jpeg_damage(const struct jpeg_error_mgr *errors) {
    switch (errors->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
        return errors->msg_parm.i[1] != JPEG_END_OF_IMAGE;
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_ICC:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
        return 0;
    default:
        return 1;
    }
}

static void take_jpeg_message(j_common_ptr info, int level) {
    if (level < 0 && is_jpeg_damage(info->err))
        fail_jpeg(info);
}

static void count_jpeg_scans(j_common_ptr info) {
    struct jpeg *jpeg = info->client_data;
    if (jpeg->info.input_scan_number <= JPEG_SCANS_MAX)
        return;
    (void)snprintf(jpeg->decoder.message, sizeof jpeg->decoder.message, "it has more than %d scans",
                   JPEG_SCANS_MAX);
    longjmp(jpeg->decoder.failed, 1);
}

static int is_jpeg_cmyk(const struct jpeg *jpeg) {
    return jpeg->info.jpeg_color_space == JCS_CMYK || jpeg->info.jpeg_color_space == JCS_YCCK;
}

static int choose_jpeg_output(struct jpeg *jpeg) {
    struct jpeg_decompress_struct *info = &jpeg->info;
    if (info->jpeg_color_space == JCS_UNKNOWN)
        return error_set(ERROR_INPUT, "%s: a JPEG of %d channels of unknown colours",
                         jpeg->decoder.name, info->num_components);
    if (is_jpeg_cmyk(jpeg))
        info->out_color_space = JCS_CMYK;
    else
        info->out_color_space = jpeg->decoder.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;

    unsigned least = (unsigned)jpeg->decoder.least_side, denominator = 1;
    unsigned side = info->image_width < info->image_height ? info->image_width : info->image_height;
    while (least > 0 && denominator < JPEG_REDUCTION_MAX && side >= least * denominator * 2)
        denominator *= 2;
    info->scale_num = 1;
    info->scale_denom = denominator;
    return 0;
}

/* Adobe's programs, which mark their files, store the ink that is missing. */
static void put_jpeg_cmyk(const struct jpeg *jpeg, uint8_t *row, const uint8_t *cmyk) {
    unsigned flip = jpeg->info.saw_Adobe_marker ? 0 : 255;
    for (int x = 0; x < jpeg->decoder.out->width; x++, cmyk += 4) {
        uint8_t rgb[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(((cmyk[c] ^ flip) * (cmyk[3] ^ flip) + 127) / 255);
        put_pixel(row, x, jpeg->decoder.channels, rgb);
    }
}

static void read_jpeg_rows(struct jpeg *jpeg) {
    struct jpeg_decompress_struct *info = &jpeg->info;
    JSAMPARRAY cmyk = NULL;
    if (is_jpeg_cmyk(jpeg))
        cmyk = info->mem->alloc_sarray((j_common_ptr)info, JPOOL_IMAGE, info->output_width * 4, 1);
    while (info->output_scanline < info->output_height) {
        uint8_t *row = picture_row(jpeg->decoder.out, info->output_scanline);
        (void)jpeg_read_scanlines(info, cmyk ? cmyk : &row, 1);
        if (cmyk)
            put_jpeg_cmyk(jpeg, row, cmyk[0]);
    }
}

static int read_jpeg(struct jpeg *jpeg) {
    struct decoder *decoder = &jpeg->decoder;
    struct jpeg_decompress_struct *info = &jpeg->info;
    if (setjmp(decoder->failed)) {
        if (jpeg->errors.msg_code == JERR_OUT_OF_MEMORY)
            return error_no_memory(decoder->name, 0);
        return error_set(ERROR_INPUT, "%s: broken JPEG: %s", decoder->name, decoder->message);
    }
    jpeg_create_decompress(info);
    jpeg->progress.progress_monitor = count_jpeg_scans;
    info->progress = &jpeg->progress;
    jpeg_mem_src(info, decoder->bytes, decoder->length);
    (void)jpeg_read_header(info, TRUE);
    TRY(check_size(decoder->name, info->image_width, info->image_height));
    TRY(check_length(decoder->name, decoder->length,
                     (uint64_t)info->image_width * info->image_height / JPEG_RATIO_MAX));
    TRY(choose_jpeg_output(jpeg));
    (void)jpeg_start_decompress(info);
    TRY(picture_create(decoder->out, (int)info->output_width, (int)info->output_height,
                       decoder->channels));
    read_jpeg_rows(jpeg);
    (void)jpeg_finish_decompress(info);
    return 0;
}

static int decode_jpeg(const struct decoder *decoder) {
    struct jpeg jpeg = {.decoder = *decoder};
    jpeg.info.err = jpeg_std_error(&jpeg.errors);
    jpeg.info.client_data = &jpeg;
    jpeg.errors.error_exit = fail_jpeg;
    jpeg.errors.emit_message = take_jpeg_message;
    int rc = read_jpeg(&jpeg);
    jpeg_destroy_decompress(&jpeg.info);
    return rc;
}

struct png {
    struct decoder decoder;
    png_structp png;
    png_infop info;
    size_t used;    /* of the bytes */
    uint8_t *lines; /* one, or all of an interlaced picture, which comes in passes over it */
};

static PNG_NORETURN void fail_png(png_structp png, png_const_charp message) {
    struct png *self = png_get_error_ptr(png);
    (void)snprintf(self->decoder.message, sizeof self->decoder.message, "%s", message);
    longjmp(self->decoder.failed, 1);
}

/* libpng's warnings are about what surrounds the pixels. */
static void ignore_png_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void take_png_bytes(png_structp png, png_bytep to, size_t count) {
    struct png *self = png_get_io_ptr(png);
    if (count > self->decoder.length - self->used)
        png_error(png, "it ends too early");
    memcpy(to, self->decoder.bytes + self->used, count);
    self->used += count;
}

/* Bytes of one channel or three, with or without alpha. */
static void choose_png_output(png_structp png) {
    png_set_expand(png);
    png_set_scale_16(png);
}

static void put_png_row(const struct picture *out, uint8_t *row, const uint8_t *line, int have) {
    int colours = have < 3 ? 1 : 3;
    if (have == out->channels) {
        memcpy(row, line, (size_t)out->width * (size_t)have);
        return;
    }
    for (int x = 0; x < out->width; x++, line += have) {
        unsigned alpha = have == colours ? 255 : line[colours];
        uint8_t rgb[3];
        for (int c = 0; c < 3; c++) {
            unsigned value = line[colours == 1 ? 0 : c];
            rgb[c] = (uint8_t)((value * alpha + 255 * (255 - alpha) + 127) / 255);
        }
        put_pixel(row, x, out->channels, rgb);
    }
}

static void read_png_rows(struct png *self, int passes) {
    const struct picture *out = self->decoder.out;
    int have = png_get_channels(self->png, self->info);
    size_t stride = passes > 1 ? png_get_rowbytes(self->png, self->info) : 0;
    for (int pass = 0; pass < passes; pass++) {
        for (uint32_t y = 0; y < (uint32_t)out->height; y++) {
            uint8_t *line = self->lines + y * stride;
            png_read_row(self->png, line, NULL);
            if (pass == passes - 1)
                put_png_row(out, picture_row(out, y), line, have);
        }
    }
}

static int allocate_png(struct png *self, int passes) {
    uint32_t width = png_get_image_width(self->png, self->info);
    uint32_t height = png_get_image_height(self->png, self->info);
    size_t size = png_get_rowbytes(self->png, self->info) * (passes > 1 ? height : 1);
    self->lines = malloc(size);
    if (!self->lines)
        return error_no_memory(self->decoder.name, size);
    return picture_create(self->decoder.out, (int)width, (int)height, self->decoder.channels);
}

static int read_png(struct png *self) {
    struct decoder *decoder = &self->decoder;
    if (setjmp(decoder->failed))
        return error_set(ERROR_INPUT, "%s: broken PNG: %s", decoder->name, decoder->message);
    self->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, self, fail_png, ignore_png_warning);
    self->info = self->png ? png_create_info_struct(self->png) : NULL;
    if (!self->info)
        return error_no_memory(decoder->name, 0);
    /* No profiles, texts and the like: they say nothing here, and can be made to unpack to much. */
    png_set_keep_unknown_chunks(self->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_read_fn(self->png, self, take_png_bytes);
    png_read_info(self->png, self->info);
    uint32_t height = png_get_image_height(self->png, self->info);
    TRY(check_size(decoder->name, png_get_image_width(self->png, self->info), height));
    TRY(check_length(decoder->name, decoder->length,
                     png_get_rowbytes(self->png, self->info) * height / DEFLATE_RATIO_MAX));
    choose_png_output(self->png);
    int passes = png_set_interlace_handling(self->png);
    png_read_update_info(self->png, self->info);
    TRY(allocate_png(self, passes));
    read_png_rows(self, passes);
    png_read_end(self->png, NULL);
    return 0;
}

static int decode_png(const struct decoder *decoder) {
    struct png self = {.decoder = *decoder};
    int rc = read_png(&self);
    png_destroy_read_struct(&self.png, &self.info, NULL);
    free(self.lines);
    return rc;
}

int picture_decode(struct picture *out, const char *name, const uint8_t *bytes, size_t length,
                   int channels, int least_side) {
    *out = (struct picture){0};
    const struct decoder decoder = {.out = out,
                                    .name = name,
                                    .bytes = bytes,
                                    .length = length,
                                    .channels = channels,
                                    .least_side = least_side};
    int rc;
    if (length >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        rc = decode_jpeg(&decoder);
    else if (length >= PNG_MAGIC && png_sig_cmp(bytes, 0, PNG_MAGIC) == 0)
        rc = decode_png(&decoder);
    else if (length == 0)
        rc = error_set(ERROR_INPUT, "%s: empty, and no picture", name);
    else
        rc = error_set(ERROR_INPUT, "%s: neither a JPEG nor a PNG, by its first bytes", name);
    if (rc < 0)
        picture_free(out);
    return rc;
}

int picture_write_png(const char *path, const struct picture *picture) {
    struct file_writer writer = {0};
    TRY(file_create(&writer, path));
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)picture->width,
                       .height = (png_uint_32)picture->height,
                       .format = picture->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    int rc;
    if (png_image_write_to_stdio(&image, writer.stream, 0, picture->pixels, 0, NULL))
        rc = file_commit(&writer);
    else
        rc = error_set(ERROR_SYSTEM, "%s: cannot write the PNG: %s", path, image.message);
    file_discard(&writer);
    return rc;
}
