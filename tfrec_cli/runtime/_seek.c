/* Cuts a window out of a JPEG, as a small JPEG of its own, without decoding: bits are copied.
 *
 * Knows: one scan of Huffman codes. Must not know: pixels, how results are used.
 *
 * The scan is passed up to the last row of the window. The MCUs of the window are copied, row by
 * row; only the first DC difference of each component in a row is coded anew, against the MCU that
 * was copied before. There is no result where a decoder would have to repair something.
 *
 * Source: ITU-T T.81; jdhuff.c, jdmarker.c and jdsample.c of libjpeg-turbo 3.
 */

#include "_native.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "_header.h"

#define MARGIN 2 /* pixels on each side on which smoothed chroma depends */
#define MCU_BITS (MOST_BLOCKS * MOST_BLOCK_BITS)
#define PIECE_BYTES (1 << 15)
#define MOST_IDLE 8

/* --- the scan -------------------------------------------------------------------------------- */

typedef struct {
    Header header;
    const byte *data;                 /* the JPEG */
    size_t size, at;                  /* its size, and what will be put into `buffer` next */
    int ended;                        /* whether that is a marker or the end */
    size_t filled;                    /* bytes in `buffer`: the scan, without 0 after 0xff */
    size_t position;                  /* of the next bit in `buffer` */
    int64_t mcu, restart;             /* numbers of the next MCU, and of the next after a marker */
    uint32_t values[MOST_COMPONENTS]; /* the last DC values, modulo 2^32 */
    uint32_t copied[MOST_COMPONENTS]; /* the last ones that were copied */
    Output out;
    Decoder dc[TABLES], ac[TABLES];   /* these and what follows are kept for the next JPEG */
    Runs runs[TABLES];
    byte buffer[PIECE_BYTES + MCU_BITS / 8 + 16]; /* zeros after `filled`: an MCU ends before it */
} Cutter;

/* Make the tables of codes, if the last JPEG had others. Return whether the codes are valid. */
static int make_tables(Decoder *decoder, Runs *runs, const Codes *codes) {
    if (decoder->made && have_same_symbols(&decoder->codes, codes)) {
        return 1;
    }
    decoder->codes = *codes;
    decoder->made = make_decoder(decoder);
    if (decoder->made && runs) {
        make_runs(runs, codes);
    }
    return decoder->made;
}

static int make_all_tables(Cutter *cutter) {
    for (int i = 0; i < cutter->header.count; i++) {
        int dc = cutter->header.components[i].dc, ac = cutter->header.components[i].ac;
        const Codes *dc_codes = &cutter->header.codes[0][dc];
        const Codes *ac_codes = &cutter->header.codes[1][ac];
        for (int j = 0; j < dc_codes->total; j++) {
            if (dc_codes->symbols[j] > 15) {
                return 0;
            }
        }
        if (!make_tables(&cutter->dc[dc], NULL, dc_codes) ||
            !make_tables(&cutter->ac[ac], &cutter->runs[ac], ac_codes)) {
            return 0;
        }
    }
    return 1;
}

/* Fill the buffer up to the next marker, if an MCU might not end in it. */
static void fill_buffer(Cutter *cutter) {
    if (cutter->ended || cutter->position + MCU_BITS <= cutter->filled * 8) {
        return;
    }
    size_t passed = cutter->position / 8, filled = cutter->filled - passed;
    memmove(cutter->buffer, cutter->buffer + passed, filled);
    cutter->position %= 8;
    while (filled < PIECE_BYTES && cutter->at < cutter->size) {
        const byte *from = cutter->data + cutter->at;
        size_t room = PIECE_BYTES - filled, left = cutter->size - cutter->at;
        size_t most = room < left ? room : left;
        const byte *found = memchr(from, 0xff, most);
        size_t count = found ? (size_t)(found - from) : most;
        memcpy(cutter->buffer + filled, from, count);
        filled += count;
        cutter->at += count;
        if (found) {
            if (count + 1 == left || found[1]) {
                break;
            }
            cutter->buffer[filled++] = 0xff;
            cutter->at += 2;
        }
    }
    cutter->ended = filled < PIECE_BYTES;
    cutter->filled = filled;
    memset(cutter->buffer + filled, 0, sizeof cutter->buffer - PIECE_BYTES);
}

/* Move on to the data after the next marker. Return whether it is the right one for a restart. */
static int next_interval(Cutter *cutter) {
    int code = 0;
    while (code == 0 || code == 0xff) {
        const byte *from = cutter->data + cutter->at;
        size_t left = cutter->size - cutter->at;
        const byte *found = left > 1 ? memchr(from, 0xff, left - 1) : NULL;
        if (!found) {
            return 0;
        }
        code = found[1];
        cutter->at += (size_t)(found - from) + (code == 0xff ? 1 : 2);
    }
    if (code != RST0 + (int)((cutter->restart / cutter->header.interval - 1) % 8)) {
        return 0;
    }
    cutter->filled = cutter->position = 0;
    cutter->ended = 0;
    cutter->mcu = cutter->restart;
    cutter->restart += cutter->header.interval;
    memset(cutter->values, 0, sizeof cutter->values);
    return 1;
}

/* Pass up to `count` MCUs that end in the buffer. Return how many, or -1 if a code is not valid. */
static int64_t pass_mcus(Cutter *cutter, int64_t count) {
    const Header *header = &cutter->header;
    size_t last = cutter->filled * 8 - (cutter->ended ? 0 : MCU_BITS);
    Bits in = bits_at(cutter->buffer, cutter->position);
    int64_t passed = 0;
    for (; passed < count && position_of(&in, cutter->buffer) <= last; passed++) {
        for (int i = 0; i < header->count; i++) {
            const Component *component = &header->components[i];
            const Decoder *dc = &cutter->dc[component->dc], *ac = &cutter->ac[component->ac];
            const Runs *runs = &cutter->runs[component->ac];
            uint32_t value = cutter->values[i];
            for (int block = 0; block < component->blocks; block++) {
                uint32_t difference;
                if (!read_difference(&in, dc, &difference) || !pass_coefficients(&in, runs, ac)) {
                    return -1;
                }
                value += difference;
            }
            cutter->values[i] = value;
        }
    }
    cutter->position = position_of(&in, cutter->buffer);
    return cutter->position <= cutter->filled * 8 ? passed : -1;
}

/* Pass MCUs in one interval, and copy them if that is wanted. */
static int pass(Cutter *cutter, int64_t count, int copied) {
    while (count) {
        fill_buffer(cutter);
        size_t start = cutter->position;
        int64_t passed = pass_mcus(cutter, count);
        if (passed <= 0 ||
            (copied && !copy_bits(&cutter->out, cutter->buffer, start, cutter->position))) {
            return 0;
        }
        count -= passed;
        cutter->mcu += passed;
    }
    return 1;
}

/* Copy an MCU, and code its DC differences from the MCU that was copied before. */
static int copy_first(Cutter *cutter) {
    const Header *header = &cutter->header;
    Output *out = &cutter->out;
    fill_buffer(cutter);
    Bits in = bits_at(cutter->buffer, cutter->position);
    size_t start = cutter->position;
    for (int i = 0; i < header->count; i++) {
        const Component *component = &header->components[i];
        const Decoder *dc = &cutter->dc[component->dc], *ac = &cutter->ac[component->ac];
        for (int block = 0; block < component->blocks; block++) {
            uint32_t difference;
            if (!read_difference(&in, dc, &difference)) {
                return 0;
            }
            cutter->values[i] += difference;
            if (block == 0) {
                if (!copy_bits(out, cutter->buffer, start, cutter->position) ||
                    !put_difference(out, &header->extended[component->dc],
                                    cutter->values[i] - cutter->copied[i])) {
                    return 0;
                }
                start = position_of(&in, cutter->buffer);
            }
            if (!pass_coefficients(&in, &cutter->runs[component->ac], ac)) {
                return 0;
            }
            cutter->position = position_of(&in, cutter->buffer);
        }
    }
    cutter->mcu++;
    return cutter->position <= cutter->filled * 8 &&
           copy_bits(out, cutter->buffer, start, cutter->position);
}

/* Pass everything before an MCU. Data before the last marker are not read. */
static int pass_until(Cutter *cutter, int64_t mcu) {
    while (mcu >= cutter->restart) {
        if (!next_interval(cutter)) {
            return 0;
        }
    }
    return pass(cutter, mcu - cutter->mcu, 0);
}

/* Copy the MCUs of a row up to `stop`. */
static int copy_until(Cutter *cutter, int64_t stop) {
    while (cutter->mcu < stop) {
        if (cutter->mcu == cutter->restart && !next_interval(cutter)) {
            return 0;
        }
        int64_t end = stop < cutter->restart ? stop : cutter->restart;
        if (!copy_first(cutter) || !pass(cutter, end - cutter->mcu, 1)) {
            return 0;
        }
        memcpy(cutter->copied, cutter->values, sizeof cutter->values);
    }
    return 1;
}

/* --- windows --------------------------------------------------------------------------------- */

typedef struct {
    int start, stop; /* pixels, or MCUs */
} Span;

/* Return the MCUs that hold some pixels and those on which these depend. */
static Span mcus_of(Span pixels, int side, int mcu, int smoothed) {
    int margin = smoothed ? MARGIN : 0, most = (side - 1) / mcu + 1;
    int stop = (pixels.stop + margin - 1) / mcu + 1;
    return (Span){pixels.start > margin ? (pixels.start - margin) / mcu : 0,
                  stop < most ? stop : most};
}

static int pixels_in(Span mcus, int side, int mcu) {
    int stop = mcus.stop * mcu;
    return (stop < side ? stop : side) - mcus.start * mcu;
}

#define LEAST_SMOOTHED 5 /* pixels in a row: libjpeg does not smooth two columns of chroma */

static void put_size(Output *out, size_t at, int height, int width) {
    byte size[] = {(byte)(height >> 8), (byte)height, (byte)(width >> 8), (byte)width};
    memcpy(out->data + at, size, sizeof size);
}

/* Cut a window; `top` and `left` become its place in the small JPEG. Return whether it is exact. */
static int cut(Cutter *cutter, int *top, int *left, int height, int width) {
    Header *header = &cutter->header;
    Output *out = &cutter->out;
    Py_ssize_t start = read_header(cutter->data, (Py_ssize_t)cutter->size, header, out);
    if (!start || !make_all_tables(cutter) || *top < 0 || *left < 0 || height < 1 || width < 1 ||
        height > header->height - *top || width > header->width - *left) {
        return 0;
    }
    const Component *luma = &header->components[0], *chroma = luma + header->count - 1;
    int wide = luma->across > chroma->across, tall = luma->down > chroma->down;
    Span rows = mcus_of((Span){*top, *top + height}, header->height, header->mcu_height, tall);
    Span columns = mcus_of((Span){*left, *left + width}, header->width, header->mcu_width, wide);
    int across = pixels_in(columns, header->width, header->mcu_width);
    if (wide && columns.start && across < LEAST_SMOOTHED) {
        columns.start--;
        across += header->mcu_width;
    }
    *top -= rows.start * header->mcu_height;
    *left -= columns.start * header->mcu_width;
    put_size(out, header->size_at, pixels_in(rows, header->height, header->mcu_height), across);
    cutter->at = (size_t)start;
    cutter->restart = header->interval ? header->interval : INT64_MAX;
    for (int64_t row = rows.start; row < rows.stop; row++) {
        int64_t first = row * header->columns;
        if (!pass_until(cutter, first + columns.start) ||
            !copy_until(cutter, first + columns.stop)) {
            return 0;
        }
    }
    if (scan_end(cutter->data, (Py_ssize_t)cutter->size, (Py_ssize_t)cutter->at) < 0 ||
        !reserve(out, 32)) {
        return 0;
    }
    put_bits(out, 0x7f, 7); /* ones up to the next byte */
    flush_bytes(out);
    const byte end[] = {0xff, EOI};
    return put_bytes(out, end, sizeof end);
}

/* --- the function ---------------------------------------------------------------------------- */

/* Cutters that are not in use. One belongs to the thread that takes it. */
static _Atomic(Cutter *) idle[MOST_IDLE];

/* Return a cutter without a JPEG, or NULL if there is no memory. */
static Cutter *take_cutter(void) {
    for (int i = 0; i < MOST_IDLE; i++) {
        Cutter *cutter = atomic_exchange(&idle[i], NULL);
        if (cutter) {
            memset(cutter, 0, offsetof(Cutter, dc));
            return cutter;
        }
    }
    return calloc(1, sizeof(Cutter));
}

static void give_back(Cutter *cutter) {
    for (int i = 0; i < MOST_IDLE && cutter; i++) {
        cutter = atomic_exchange(&idle[i], cutter);
    }
    free(cutter);
}

PyObject *native_cut(PyObject *module, PyObject *args) {
    PyObject *object, *answer = NULL;
    int top, left, height, width, done;
    if (!PyArg_ParseTuple(args, "Oiiii:cut", &object, &top, &left, &height, &width)) {
        return NULL;
    }
    Py_buffer data;
    if (!get_bytes(object, &data, PyBUF_SIMPLE)) {
        Py_RETURN_NONE;
    }
    Cutter *cutter = take_cutter();
    if (!cutter) {
        PyBuffer_Release(&data);
        return PyErr_NoMemory();
    }
    Output *out = &cutter->out;
    Py_BEGIN_ALLOW_THREADS
    cutter->data = data.buf;
    cutter->size = (size_t)data.len;
    done = cut(cutter, &top, &left, height, width);
    Py_END_ALLOW_THREADS
    if (done) {
        answer = Py_BuildValue("y#ii", out->data, (Py_ssize_t)out->size, top, left);
    } else {
        answer = out->failed ? PyErr_NoMemory() : Py_NewRef(Py_None);
    }
    free(out->data);
    give_back(cutter);
    PyBuffer_Release(&data);
    return answer;
}
