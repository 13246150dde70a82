/* Markers of JPEGs: those up to the first scan, and the one that ends its data.
 *
 * Knows: markers, see jpeg.py. Must not know: pixels.
 */

#include "_jpeg.h"

PyObject *native_scan_end(PyObject *module, PyObject *args) {
    PyObject *object;
    Py_buffer data;
    Py_ssize_t start, end = -1;
    if (!PyArg_ParseTuple(args, "On:scan_end", &object, &start)) {
        return NULL;
    }
    if (get_bytes(object, &data, PyBUF_SIMPLE)) {
        end = start >= 0 && start < data.len ? scan_end(data.buf, data.len, start) : -1;
        PyBuffer_Release(&data);
    }
    return PyLong_FromSsize_t(end);
}

/* Which tables are defined: a bit for each number. */
typedef struct {
    int steps, codes[2]; /* codes of DC and AC */
} Tables;

/* Take quantization tables. Return whether they have 64 steps of 8 bits each. */
static int define_steps(Tables *tables, Segment segment) {
    int usual = segment.size > 0 && segment.size % 65 == 0;
    for (Py_ssize_t at = 0; usual && at < segment.size; at += 65) {
        usual = segment.body[at] < 4;
        tables->steps |= 1 << (segment.body[at] & 3);
    }
    return usual;
}

/* Take code tables. Return whether there are as many codes of each length; none is all ones. */
static int define_codes(Tables *tables, Segment segment) {
    const byte *body = segment.body, *stop = body + segment.size;
    while (body < stop) {
        int kind = body[0] >> 4, number = body[0] & 15, total = 0, used = 0;
        if (stop - body < 17 || kind > 1 || number > 3) {
            return 0;
        }
        for (int length = 1; length <= 16; length++) {
            total += body[length];
            used += body[length];
            if (used >= 1 << length) {
                return 0;
            }
            used <<= 1;
        }
        body += 17;
        if (total > 256 || stop - body < total) {
            return 0;
        }
        for (int i = 0; kind == 0 && i < total; i++) {
            if (body[i] > 15) {
                return 0;
            }
        }
        tables->codes[kind] |= 1 << number;
        body += total;
    }
    return 1;
}

/* Return whether the parameters of a scan of a progressive JPEG are possible; change which tables
 * it needs. */
static int is_plain_pass(Segment scan, int needs[2]) {
    const byte *last = scan.body + scan.size - 3;
    int before = last[2] >> 4, after = last[2] & 15;
    needs[0] = !last[0] && !before;
    needs[1] = last[0] > 0;
    return after <= 13 && (!before || after == before - 1) &&
           (last[0] ? last[0] <= last[1] && last[1] <= 63 && scan.body[0] == 1 : !last[1]);
}

/* Return whether a decoder takes a scan of the usual shape: see `tables.Tables.allow`. */
static int allows_scan(const Tables *tables, Segment frame, Segment scan) {
    int count = scan.size ? scan.body[0] : 0, blocks = 0, at = -1, needs[2] = {1, 1};
    if (count < 1 || count > frame.body[5] || scan.size != 4 + 2 * count) {
        return 0;
    }
    const byte *last = scan.body + scan.size - 3;
    if (frame.code == SOF2 ? !is_plain_pass(scan, needs)
                           : last[0] != 0 || last[1] != 63 || last[2] != 0) {
        return 0;
    }
    int most[2] = {0, 0}; /* across and down */
    for (int i = 0; i < 2 * frame.body[5]; i++) {
        int factor = frame.body[7 + 3 * (i / 2)] >> (i % 2 ? 0 : 4) & 15;
        most[i % 2] = factor > most[i % 2] ? factor : most[i % 2];
    }
    for (int i = 0; i < 2 * frame.body[5]; i++) {
        int factor = frame.body[7 + 3 * (i / 2)] >> (i % 2 ? 0 : 4) & 15;
        if (factor < 1 || factor > 4 || most[i % 2] % factor) {
            return 0;
        }
    }
    for (int i = 0; i < count; i++) {
        const byte *chosen = scan.body + 1 + 2 * i, *component = NULL;
        for (at++; at < frame.body[5]; at++) {
            component = frame.body + 6 + 3 * at;
            if (component[0] == chosen[0]) {
                break;
            }
        }
        if (at >= frame.body[5] || component[2] > 3 || !(tables->steps >> component[2] & 1) ||
            (needs[0] && !(tables->codes[0] >> (chosen[1] >> 4) & 1)) ||
            (needs[1] && !(tables->codes[1] >> (chosen[1] & 15) & 1))) {
            return 0;
        }
        blocks += (component[1] >> 4) * (component[1] & 15);
    }
    return count == 1 || blocks <= 10;
}

/* Return whether a frame has a usual type, 8 bits, 1 or 3 components, and is not empty. */
static int is_plain_frame(Segment frame) {
    const byte *body = frame.body;
    return frame.size >= 6 && frame.size == 6 + 3 * body[5] && (body[5] == 1 || body[5] == 3) &&
           body[0] == 8 && read_16(body + 1) && read_16(body + 3);
}

static PyObject *answer_frame(Segment frame, Segment scan, PyObject *metadata) {
    const byte *body = frame.body;
    byte factors[3] = {body[7], 0, 0};
    for (int i = 1; i < body[5]; i++) {
        factors[i] = body[7 + 3 * i];
    }
    PyObject *interleaved = scan.body[0] == body[5] ? Py_True : Py_False;
    return Py_BuildValue("iiiy#OnO", frame.code - SOF0, read_16(body + 1), read_16(body + 3),
                         factors, (Py_ssize_t)body[5], interleaved, scan.stop, metadata);
}

/* Return what the markers up to the first scan say if all are plain; else None. Segments that may
 * hold metadata are added to a list. */
static PyObject *frame_of(const byte *data, Py_ssize_t size, PyObject *metadata) {
    Segment frame = {0, 0, 0, 0}, segment = {0, 2, 0, 0};
    Tables tables = {0, {0, 0}};
    int plain = 1;
    for (int count = 0; plain && count < MOST_SEGMENTS; count++) {
        Py_ssize_t start = segment.stop;
        if (!next_segment(data, size, &segment)) {
            break;
        }
        switch (segment.code) {
        case SOF0: case SOF1: case SOF2:
            plain = !frame.code && is_plain_frame(segment);
            frame = segment;
            break;
        case DQT:
            plain = define_steps(&tables, segment);
            break;
        case DHT:
            plain = define_codes(&tables, segment);
            break;
        case DRI:
            plain = segment.size == 2;
            break;
        case JFIF:
            plain = segment.size >= 14;
            break;
        case ADOBE:
            plain = segment.size >= 12;
            break;
        case APP2:
            plain = !frame.code; /* fall through */
        case APP1: case APP13: {
            PyObject *place = Py_BuildValue("inn", segment.code, start, segment.stop);
            int failed = !place || PyList_Append(metadata, place);
            Py_XDECREF(place);
            if (failed) {
                return NULL;
            }
            break;
        }
        case SOS:
            if (frame.code && allows_scan(&tables, frame, segment)) {
                return answer_frame(frame, segment, metadata);
            }
            plain = 0;
            break;
        default:
            plain = segment.code == COM || (segment.code > APP2 && segment.code <= APP15);
        }
    }
    Py_RETURN_NONE;
}

PyObject *native_jpeg_frame(PyObject *module, PyObject *object) {
    Py_buffer data;
    if (!get_bytes(object, &data, PyBUF_SIMPLE)) {
        Py_RETURN_NONE;
    }
    PyObject *metadata = PyList_New(0);
    PyObject *frame = metadata ? frame_of(data.buf, data.len, metadata) : NULL;
    Py_XDECREF(metadata);
    PyBuffer_Release(&data);
    return frame;
}
