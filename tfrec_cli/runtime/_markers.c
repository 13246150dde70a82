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

/* Return whether quantization tables have 64 steps of 8 bits each. */
static int has_small_steps(Segment tables) {
    int small = tables.size > 0 && tables.size % 65 == 0;
    for (Py_ssize_t at = 0; small && at < tables.size; at += 65) {
        small = tables.body[at] < 16;
    }
    return small;
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
            plain = has_small_steps(segment);
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
            if (frame.code && segment.size) {
                return answer_frame(frame, segment, metadata);
            }
            plain = 0;
            break;
        default:
            plain = segment.code == DHT || segment.code == DRI || segment.code == COM ||
                    (segment.code > APP2 && segment.code <= APP15);
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
