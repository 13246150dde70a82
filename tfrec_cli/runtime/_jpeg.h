/* Segments of JPEG files: ITU-T T.81, annex B.
 *
 * Knows: markers. Must not know: what the segments mean.
 */

#ifndef TFREC_JPEG_H
#define TFREC_JPEG_H

#include "_native.h"

#include <string.h>

#define MOST_SEGMENTS 100000 /* as jpeg.MAX_SEGMENTS */

enum {
    SOF0 = 0xc0, SOF1, SOF2,
    DHT = 0xc4, RST0 = 0xd0, EOI = 0xd9, SOS, DQT, DRI = 0xdd,
    JFIF = 0xe0, APP1, APP2, APP13 = 0xed, ADOBE, APP15,
    COM = 0xfe,
};

typedef struct {
    int code;         /* second byte of the marker */
    Py_ssize_t stop;  /* offset where the next marker begins */
    const byte *body; /* what follows the length */
    Py_ssize_t size;  /* of the body */
} Segment;

static inline int read_16(const byte *data) { return data[0] << 8 | data[1]; }

/* Move on to the segment at `segment->stop`. Return 0 if it is not complete, or no segment. */
static inline int next_segment(const byte *data, Py_ssize_t size, Segment *segment) {
    Py_ssize_t start = segment->stop;
    if (size - start < 4 || data[start] != 0xff) {
        return 0;
    }
    int length = read_16(data + start + 2);
    segment->code = data[start + 1];
    segment->stop = start + 2 + length;
    segment->body = data + start + 4;
    segment->size = length - 2;
    return length >= 2 && segment->stop <= size && segment->code != EOI && segment->code != 0xff;
}

#define MOST_FILLING 4096
#define BLOCK_BYTES 64

/* Return whether a 0xff among some bytes is followed by another byte than 0; one more byte is read.
 * Without branches, so that compilers make it one comparison of many bytes. */
static inline int has_marker(const byte *data) {
    byte found = 0;
    for (int i = 0; i < BLOCK_BYTES; i++) {
        found |= (byte)((data[i] == 0xff) & (data[i + 1] != 0));
    }
    return found;
}

/* Return the offset of the end marker if it is the first marker after `at`, else -1. */
static inline Py_ssize_t scan_end(const byte *data, Py_ssize_t size, Py_ssize_t at) {
    Py_ssize_t filling = 0;
    while (at + 1 < size) {
        while (!filling && size - at > BLOCK_BYTES && !has_marker(data + at)) {
            at += BLOCK_BYTES;
        }
        const byte *found = memchr(data + at, 0xff, (size_t)(size - 1 - at));
        if (!found) {
            return -1;
        }
        filling = found == data + at ? filling + 1 : 1;
        at = found - data + 1;
        byte code = data[at];
        if (code == EOI) {
            return at - 1;
        }
        if (filling >= MOST_FILLING - 1 || (code != 0xff && code && (code & 0xf8) != RST0)) {
            return -1;
        }
        filling = code == 0xff ? filling : 0;
    }
    return -1;
}

#endif
