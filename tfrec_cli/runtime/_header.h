/* The header of a JPEG of one scan, and that of a window of it: ITU-T T.81, annex B.
 *
 * Knows: markers, tables. Must not know: the data of the scan.
 */

#ifndef TFREC_HEADER_H
#define TFREC_HEADER_H

#include "_huffman.h"
#include "_jpeg.h"

#define MOST_COMPONENTS 3
#define MOST_BLOCKS 10 /* of an MCU */
#define MOST_SIDE 65500 /* that libjpeg decodes */
#define TABLES 4

typedef struct {
    int across, down, steps; /* sampling factors, number of quantization table */
    int dc, ac;              /* numbers of code tables */
    int blocks;              /* in an MCU */
} Component;

typedef struct {
    int width, height; /* in pixels */
    int count;         /* of components */
    Component components[MOST_COMPONENTS];
    int steps[TABLES];              /* whether a quantization table is defined */
    Codes codes[2][TABLES];         /* of DC and AC */
    int defined[2][TABLES];         /* whether these are */
    Codes extended[TABLES];         /* DC codes of the output */
    int interval;                   /* MCUs between two restart markers, or 0 */
    size_t size_at;                 /* where the output has height and width */
    const byte *ids;                /* of components, in the frame */
    int mcu_width, mcu_height;      /* in pixels */
    int columns, rows;              /* of MCUs */
} Header;

static inline int read_frame(Header *header, Segment segment, const Output *out) {
    const byte *body = segment.body;
    int count = segment.size < 6 ? 0 : body[5];
    if (header->count || (count != 1 && count != 3) || segment.size != 6 + 3 * count ||
        body[0] != 8) {
        return 0;
    }
    header->height = read_16(body + 1);
    header->width = read_16(body + 3);
    header->count = count;
    header->size_at = out->size + 5;
    header->ids = body + 6;
    for (int i = 0; i < header->count; i++) {
        byte factors = body[7 + 3 * i];
        header->components[i] = (Component){factors >> 4, factors & 15, body[8 + 3 * i], 0, 0, 0};
    }
    return header->height && header->width && header->height <= MOST_SIDE &&
           header->width <= MOST_SIDE;
}

static inline int read_steps(Header *header, Segment segment) {
    while (segment.size) {
        int number = segment.body[0] & 15, size = segment.body[0] >> 4 ? 129 : 65;
        if (number >= TABLES || segment.size < size) {
            return 0;
        }
        header->steps[number] = 1;
        segment.body += size;
        segment.size -= size;
    }
    return 1;
}

static inline int read_codes(Header *header, Segment segment) {
    while (segment.size) {
        int kind = segment.body[0] >> 4, number = segment.body[0] & 15;
        if (segment.size < 1 + LONGEST_CODE || kind > 1 || number >= TABLES) {
            return 0;
        }
        Codes *codes = &header->codes[kind][number];
        codes->total = 0;
        for (int length = 1; length <= LONGEST_CODE; length++) {
            codes->counts[length] = segment.body[length];
            codes->total += codes->counts[length];
        }
        if (codes->total > 256 || segment.size < 1 + LONGEST_CODE + codes->total) {
            return 0;
        }
        memcpy(codes->symbols, segment.body + 1 + LONGEST_CODE, (size_t)codes->total);
        header->defined[kind][number] = 1;
        segment.body += 1 + LONGEST_CODE + codes->total;
        segment.size -= 1 + LONGEST_CODE + codes->total;
    }
    return 1;
}

/* Return whether windows of these samplings are exact: as `decoder.has_exact_window`. */
static inline int has_exact_windows(const Header *header) {
    const Component *luma = &header->components[0], *chroma = luma + 1;
    if (header->count == 1) {
        return luma->across >= 1 && luma->across <= 4 && luma->down >= 1 && luma->down <= 4;
    }
    if (chroma[0].across != chroma[1].across || chroma[0].down != chroma[1].down) {
        return 0;
    }
    int across = chroma->across, down = chroma->down;
    return across && down && luma->across <= 4 && luma->down <= 4 &&
           (luma->across == across || luma->across == 2 * across) &&
           (luma->down == down || luma->down == 2 * down);
}

/* Read the header of a scan of all components. */
static inline int read_scan(Header *header, Segment segment) {
    if (!header->count || segment.size != 4 + 2 * header->count ||
        segment.body[0] != header->count || !has_exact_windows(header)) {
        return 0;
    }
    int blocks = 0;
    for (int i = 0; i < header->count; i++) {
        Component *component = &header->components[i];
        const byte *body = segment.body + 1 + 2 * i;
        component->dc = body[1] >> 4;
        component->ac = body[1] & 15;
        if (body[0] != header->ids[3 * i] || component->dc >= TABLES || component->ac >= TABLES ||
            !header->defined[0][component->dc] || !header->defined[1][component->ac] ||
            component->steps >= TABLES || !header->steps[component->steps]) {
            return 0;
        }
        component->blocks = header->count == 1 ? 1 : component->across * component->down;
        blocks += component->blocks;
    }
    if (blocks > MOST_BLOCKS) {
        return 0;
    }
    const Component *luma = &header->components[0];
    header->mcu_width = header->count == 1 ? 8 : 8 * luma->across;
    header->mcu_height = header->count == 1 ? 8 : 8 * luma->down;
    header->columns = (header->width - 1) / header->mcu_width + 1;
    header->rows = (header->height - 1) / header->mcu_height + 1;
    return 1;
}

/* Add to a table of DC codes what differences may need, without changing a code. The longest code
 * that is all ones is not used, so some bits more make room for new ones. */
static inline void extend(Codes *codes) {
    int longest = LONGEST_CODE, missing = 0, more = 1;
    byte symbols[MOST_DC_BITS + 1];
    for (int size = 0; size <= MOST_DC_BITS; size++) {
        if (!memchr(codes->symbols, size, (size_t)codes->total)) {
            symbols[missing++] = (byte)size;
        }
    }
    while (longest && !codes->counts[longest]) {
        longest--;
    }
    while ((1 << more) - 1 < missing) {
        more++;
    }
    if (missing && longest + more <= LONGEST_CODE && codes->total + missing <= 256) {
        memcpy(codes->symbols + codes->total, symbols, (size_t)missing);
        codes->counts[longest + more] = (byte)missing;
        codes->total += missing;
    }
}

static inline int put_codes(Output *out, const Codes *codes, int kind, int number) {
    int length = 2 + 1 + LONGEST_CODE + codes->total;
    byte head[] = {0xff, DHT, (byte)(length >> 8), (byte)length, (byte)(kind << 4 | number)};
    return put_bytes(out, head, sizeof head) &&
           put_bytes(out, codes->counts + 1, LONGEST_CODE) &&
           put_bytes(out, codes->symbols, (size_t)codes->total);
}

static inline int put_tables(Header *header, Output *out) {
    int done[2][TABLES] = {{0}};
    for (int i = 0; i < header->count; i++) {
        int numbers[2] = {header->components[i].dc, header->components[i].ac};
        for (int kind = 0; kind < 2; kind++) {
            int number = numbers[kind];
            Codes codes = header->codes[kind][number];
            if (done[kind][number]++) {
                continue;
            }
            if (kind == 0) {
                extend(&codes);
                header->extended[number] = codes;
            }
            if (!put_codes(out, &codes, kind, number)) {
                return 0;
            }
        }
    }
    return 1;
}

/* Read the header up to the data of the scan, and put that of the small JPEG, except its size.
 * Return the offset of the data, or 0. */
static inline Py_ssize_t read_header(const byte *data, Py_ssize_t size, Header *header,
                                     Output *out) {
    if (size < 2 || data[0] != 0xff || data[1] != 0xd8 || !put_bytes(out, data, 2)) {
        return 0;
    }
    Segment segment = {0, 2, 0, 0};
    for (int count = 0; count < MOST_SEGMENTS; count++) {
        Py_ssize_t start = segment.stop;
        if (!next_segment(data, size, &segment)) {
            return 0;
        }
        int usual = 1, kept = 1;
        switch (segment.code) {
        case SOF0: case SOF1:
            usual = read_frame(header, segment, out);
            break;
        case DQT:
            usual = read_steps(header, segment);
            break;
        case DHT:
            usual = read_codes(header, segment);
            kept = 0;
            break;
        case DRI:
            usual = segment.size == 2;
            header->interval = usual ? read_16(segment.body) : 0;
            kept = 0;
            break;
        case SOS:
            usual = read_scan(header, segment) && put_tables(header, out);
            break;
        case JFIF: /* shorter ones are not read alike by every decoder */
            usual = segment.size >= 14;
            break;
        case ADOBE:
            usual = segment.size >= 12;
            break;
        default:
            kept = 0;
            usual = segment.code == COM || (segment.code >= APP1 && segment.code <= APP15);
        }
        if (!usual || (kept && !put_bytes(out, data + start, (size_t)(segment.stop - start)))) {
            return 0;
        }
        if (segment.code == SOS) {
            return segment.stop;
        }
    }
    return 0;
}

#endif
