/* Huffman codes of JPEGs, and the symbols of a scan: ITU-T T.81, annexes C and F.
 *
 * Knows: codes, bits. Must not know: markers, where blocks belong.
 *
 * A symbol is a code, and up to 15 bits that follow it. To pass symbols, one needs to know only how
 * many bits they have: a table has that for all symbols that begin in the next bits.
 */

#ifndef TFREC_HUFFMAN_H
#define TFREC_HUFFMAN_H

#include "_native.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_CODE 16
#define BLOCK 64        /* coefficients */
#define MOST_DC_BITS 11 /* of a difference of DC values in an 8-bit picture */
#define MOST_BLOCK_BITS (BLOCK * (LONGEST_CODE + 15))

typedef struct {
    int total;
    byte counts[LONGEST_CODE + 1]; /* codes of each length */
    byte symbols[256];             /* in the order of their codes */
} Codes;

static inline int have_same_symbols(const Codes *codes, const Codes *others) {
    return codes->total == others->total &&
           !memcmp(codes->counts, others->counts, sizeof codes->counts) &&
           !memcmp(codes->symbols, others->symbols, (size_t)codes->total);
}

#define SHORT_CODE 9

/* Codes to be read one at a time. */
typedef struct {
    Codes codes;
    int made;                          /* whether the rest is that of the codes */
    uint32_t limits[LONGEST_CODE + 1]; /* codes of a length, and any bits after them, are smaller */
    int offsets[LONGEST_CODE + 1];     /* place of the symbol of a code of this length, minus it */
    uint16_t short_codes[1 << SHORT_CODE]; /* symbol and length (the low byte); 0 if it is longer */
} Decoder;

/* Make a decoder. Return whether the codes are valid: no two are alike, and none is all ones. */
static inline int make_decoder(Decoder *decoder) {
    const Codes *codes = &decoder->codes;
    memset(decoder->short_codes, 0, sizeof decoder->short_codes);
    uint32_t code = 0;
    int place = 0;
    for (int length = 1; length <= LONGEST_CODE; length++, code <<= 1) {
        decoder->offsets[length] = place - (int)code;
        for (int i = 0; i < codes->counts[length]; i++, place++, code++) {
            if (code >= (1u << length) - 1) {
                return 0;
            }
            int free_bits = SHORT_CODE - length;
            for (uint32_t j = 0; free_bits >= 0 && j < 1u << free_bits; j++) {
                uint16_t entry = (uint16_t)(codes->symbols[place] << 8 | length);
                decoder->short_codes[(code << free_bits) + j] = entry;
            }
        }
        decoder->limits[length] = code << (LONGEST_CODE - length);
    }
    return 1;
}

/* --- bits, read ------------------------------------------------------------------------------ */

/* Bits to be read; the 8 bytes at `next` are there too. */
typedef struct {
    const byte *next;
    uint64_t bits; /* the next ones, from the highest on */
    int count;     /* of these; those below are right, or 0 */
} Bits;

#define SURE_BITS 56 /* as many are there after `refill` */

static inline uint64_t load_64(const byte *data) {
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) { /* one instruction */
        bits |= (uint64_t)data[i] << (56 - 8 * i);
    }
    return bits;
}

static inline Bits bits_at(const byte *data, size_t position) {
    int used = (int)(position % 8);
    return (Bits){data + position / 8 + 7, load_64(data + position / 8) << used, SURE_BITS - used};
}

static inline size_t position_of(const Bits *in, const byte *data) {
    return (size_t)(in->next - data) * 8 - (size_t)in->count;
}

static inline void refill(Bits *in) {
    in->bits |= load_64(in->next) >> in->count;
    in->next += (63 - in->count) >> 3;
    in->count |= SURE_BITS;
}

static inline void drop(Bits *in, int count) {
    in->bits <<= count;
    in->count -= count;
}

/* --- bits, written --------------------------------------------------------------------------- */

typedef struct {
    byte *data;
    size_t size, room;
    uint64_t bits; /* the lowest are not written yet */
    int count;     /* of these */
    int failed;    /* no memory */
} Output;

/* Make room for more bytes. Return whether that was possible. */
static inline int reserve(Output *out, size_t more) {
    if (out->room - out->size >= more) {
        return 1;
    }
    size_t room = out->room * 2 + more;
    byte *data = realloc(out->data, room);
    if (!data) {
        out->failed = 1;
        return 0;
    }
    out->data = data;
    out->room = room;
    return 1;
}

static inline int put_bytes(Output *out, const byte *data, size_t count) {
    if (!reserve(out, count)) {
        return 0;
    }
    memcpy(out->data + out->size, data, count);
    out->size += count;
    return 1;
}

/* Write whole bytes of the bits; a 0 follows each 0xff. */
static inline void flush_bytes(Output *out) {
    for (; out->count >= 8; out->count -= 8) {
        byte next = (byte)(out->bits >> (out->count - 8));
        out->data[out->size++] = next;
        if (next == 0xff) {
            out->data[out->size++] = 0;
        }
    }
}

/* Put at most 32 bits; there must be room for 16 bytes. */
static inline void put_bits(Output *out, uint32_t bits, int count) {
    out->bits = out->bits << count | bits;
    out->count += count;
    if (out->count < 32) {
        return;
    }
    uint32_t next = (uint32_t)(out->bits >> (out->count - 32)), inverse = ~next;
    if ((inverse - 0x01010101) & next & 0x80808080) { /* a byte is 0xff */
        flush_bytes(out);
        return;
    }
    for (int i = 0; i < 4; i++) {
        out->data[out->size + (size_t)i] = (byte)(next >> (24 - 8 * i));
    }
    out->size += 4;
    out->count -= 32;
}

static inline int copy_bits(Output *out, const byte *data, size_t start, size_t stop) {
    if (!reserve(out, (stop - start) / 4 + 16)) {
        return 0;
    }
    for (; stop - start >= 32; start += 32) {
        put_bits(out, (uint32_t)(bits_at(data, start).bits >> 32), 32);
    }
    int rest = (int)(stop - start);
    put_bits(out, (uint32_t)(bits_at(data, start).bits >> 32 >> (32 - rest)), rest);
    return 1;
}

/* --- DC values ------------------------------------------------------------------------------- */

/* Read a code of `refill`ed bits. Return its symbol, or -1 if there is none. */
static inline int read_code(Bits *in, const Decoder *decoder) {
    unsigned entry = decoder->short_codes[in->bits >> (64 - SHORT_CODE)];
    if (entry) {
        drop(in, entry & 0xff);
        return (int)(entry >> 8);
    }
    uint32_t next = (uint32_t)(in->bits >> (64 - LONGEST_CODE));
    for (int length = SHORT_CODE + 1; length <= LONGEST_CODE; length++) {
        if (next < decoder->limits[length]) {
            drop(in, length);
            int place = decoder->offsets[length] + (int)(next >> (LONGEST_CODE - length));
            return decoder->codes.symbols[place];
        }
    }
    return -1;
}

/* Read a difference of DC values. Return whether its code is valid. */
static inline int read_difference(Bits *in, const Decoder *decoder, uint32_t *difference) {
    refill(in);
    int size = read_code(in, decoder);
    if (size < 0) {
        return 0;
    }
    uint32_t all = (1u << size) - 1;
    uint32_t value = (uint32_t)(in->bits >> 1 >> (63 - size));
    *difference = value - (value <= all >> 1 ? all : 0);
    drop(in, size);
    return 1;
}

/* Put a difference of DC values, if it is one of an 8-bit picture and has a code. */
static inline int put_difference(Output *out, const Codes *codes, uint32_t difference) {
    int negative = (int)(difference >> 31), size = 0;
    uint32_t magnitude = negative ? 0 - difference : difference;
    if (magnitude >> MOST_DC_BITS) {
        return 0;
    }
    while (magnitude >> size) {
        size++;
    }
    const byte *symbol = memchr(codes->symbols, size, (size_t)codes->total);
    if (!symbol || !reserve(out, 32)) {
        return 0;
    }
    uint32_t code = 0;
    int before = (int)(symbol - codes->symbols), length = 1;
    for (; before >= codes->counts[length]; length++) {
        before -= codes->counts[length];
        code = (code + codes->counts[length]) << 1;
    }
    put_bits(out, code + (uint32_t)before, length);
    put_bits(out, negative ? (difference - 1) & ((1u << size) - 1) : magnitude, size);
    return 1;
}

/* --- AC coefficients ------------------------------------------------------------------------- */

#define RUN_BITS 13

/* For each value of the next bits, all symbols whose codes these hold: how many bits the symbols
 * have (the low byte), and how many coefficients (the high byte). */
typedef struct {
    uint16_t entries[2 << RUN_BITS]; /* those for the next n bits begin at 2^n */
} Runs;

#define END 128        /* is added to the coefficients if the last symbol ends its block */
#define NO_CODE 0xff00 /* the first code is longer: no bits, too many coefficients */

static inline int coefficients_of(int symbol) {
    return symbol & 15 || symbol == 0xf0 ? (symbol >> 4) + 1 : END;
}

/* Fill the entries of one symbol in the table for `width` bits: the symbol, with those that follow
 * it unless all of them are too many for a block. Return where those of the next symbol begin. */
static inline uint16_t *fill_runs(Runs *runs, int width, int length, int symbol, uint16_t *out) {
    int size = symbol & 15, free_bits = width - length, coefficients = coefficients_of(symbol);
    uint16_t alone = (uint16_t)(coefficients << 8 | (length + size));
    if (coefficients == END || size >= free_bits) {
        for (uint16_t *stop = out + (1 << free_bits); out < stop; out++) {
            *out = alone;
        }
        return out;
    }
    int rest = 1 << (free_bits - size);
    const uint16_t *others = runs->entries + rest;
    for (int i = 0; i < rest; i++) {
        uint16_t both = (uint16_t)(alone + others[i]);
        out[i] = both & BLOCK << 8 ? alone : both;
    }
    for (int i = 1; i < 1 << size; i++) {
        memcpy(out + i * rest, out, (size_t)rest * sizeof *out);
    }
    return out + (1 << free_bits);
}

static inline void make_runs(Runs *runs, const Codes *codes) {
    runs->entries[1] = 0;
    for (int width = 1; width <= RUN_BITS; width++) {
        uint16_t *out = runs->entries + (1 << width), *stop = out + (1 << width);
        const byte *symbol = codes->symbols;
        for (int length = 1; length <= width; length++) {
            for (int i = 0; i < codes->counts[length]; i++) {
                out = fill_runs(runs, width, length, *symbol++, out);
            }
        }
        while (out < stop) {
            *out++ = width == RUN_BITS ? NO_CODE : 0;
        }
    }
}

/* Pass the symbols in the next bits. Return their entry. */
static inline unsigned pass_run(Bits *in, const Runs *runs) {
    unsigned entry = runs->entries[(1 << RUN_BITS) + (in->bits >> (64 - RUN_BITS))];
    drop(in, entry & 63);
    return entry;
}

/* Take back the bits that were dropped last, and pass only one symbol. Return its coefficients, or
 * -1 if its code is not valid. */
static inline int pass_one_instead(Bits *in, int dropped, const Decoder *decoder) {
    int count = in->count + dropped, bytes = (count + 7) / 8;
    *in = bits_at(in->next - bytes, (size_t)(bytes * 8 - count));
    int symbol = read_code(in, decoder);
    if (symbol < 0) {
        return -1;
    }
    drop(in, symbol & 15);
    return coefficients_of(symbol);
}

/* Pass the AC coefficients of a block. Return whether their codes are valid. */
static inline int pass_coefficients(Bits *in, const Runs *runs, const Decoder *decoder) {
    int passed = 1; /* the DC value */
    for (;;) {
        unsigned run;
        do {
            refill(in);
            run = pass_run(in, runs);
            passed += (int)(run >> 8);
            if (passed >= BLOCK) {
                break;
            }
            run = pass_run(in, runs);
            passed += (int)(run >> 8);
        } while (passed < BLOCK);
        if (passed == BLOCK || (passed >= END && passed < END + BLOCK)) {
            return 1;
        }
        int instead = pass_one_instead(in, run & 63, decoder);
        passed += instead - (int)(run >> 8);
        if (instead < 0 || passed >= BLOCK) {
            return instead > 0;
        }
    }
}

#endif
