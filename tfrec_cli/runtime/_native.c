/* Loops over bytes, in C: features, markers, pixels.
 *
 * Knows: bytes. Must not know: what is done with an answer.
 *
 * Each function answers for what is usual, as the Python beside its caller would, and leaves the
 * rest to that Python, errors and their words included: see native.py, which says what each takes
 * and gives. So nothing here has to be complete; it has to be right, and to stay inside its input.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

typedef unsigned char byte;

/* Whether bytes lie in one piece; Python copies those that do not, or says what is wrong. */
static int get_bytes(PyObject *object, Py_buffer *data, int flags) {
    if (!PyObject_GetBuffer(object, data, flags)) {
        return 1;
    }
    PyErr_Clear();
    return 0;
}

/* --- tf.train.Example ------------------------------------------------------------------------ */

typedef struct {
    const byte *data;
    Py_ssize_t at, end;
} Reader;

static int read_varint(Reader *in, uint64_t *number) {
    *number = 0;
    for (int shift = 0; shift < 70 && in->at < in->end; shift += 7) {
        byte one = in->data[in->at++];
        if (shift == 63 && one > 1) {
            return 0;
        }
        *number |= (uint64_t)(one & 0x7f) << shift;
        if (one < 0x80) {
            return one || !shift; /* a number in more bytes than it needs */
        }
    }
    return 0;
}

/* Enter a field: `inner` is its content, and `in` goes on behind it. */
static int enter(Reader *in, byte tag, Reader *inner) {
    uint64_t length;
    if (in->at >= in->end || in->data[in->at++] != tag || !read_varint(in, &length)) {
        return 0;
    }
    if (length > (uint64_t)(in->end - in->at)) {
        return 0;
    }
    *inner = (Reader){in->data, in->at, in->at + (Py_ssize_t)length};
    in->at = inner->end;
    return 1;
}

/* Enter a field that is the last one there. */
static int enter_last(Reader *in, byte tag, Reader *inner) {
    return enter(in, tag, inner) && in->at == in->end;
}

#define BYTES_LIST 0x0a
#define INT64_LIST 0x1a

/* Return the one value of a feature, NULL with an error, or NULL without where it is unusual. */
static PyObject *single_value(PyObject *payload, Reader value) {
    Reader feature, list, one;
    uint64_t number;
    if (!enter_last(&value, 0x12, &feature) || feature.at >= feature.end) {
        return NULL;
    }
    byte kind = feature.data[feature.at];
    if ((kind != BYTES_LIST && kind != INT64_LIST) || !enter_last(&feature, kind, &list)) {
        return NULL;
    }
    if (kind == BYTES_LIST) {
        if (!enter_last(&list, 0x0a, &one)) {
            return NULL;
        }
        PyObject *start = PyLong_FromSsize_t(one.at), *stop = PyLong_FromSsize_t(one.end);
        PyObject *range = start && stop ? PySlice_New(start, stop, NULL) : NULL;
        PyObject *found = range ? PyObject_GetItem(payload, range) : NULL;
        Py_XDECREF(start);
        Py_XDECREF(stop);
        Py_XDECREF(range);
        return found;
    }
    if (list.at < list.end && list.data[list.at] == 0x08) {
        list.at++; /* not packed */
        one = list;
    } else if (!enter_last(&list, 0x0a, &one)) {
        return NULL;
    }
    if (!read_varint(&one, &number) || one.at != one.end) {
        return NULL;
    }
    return PyLong_FromLongLong((long long)number);
}

/* Return what a feature is called, NULL where it is not wanted, or NULL with an error. */
static PyObject *called_by(const Reader *key, PyObject *wanted) {
    const char *start = (const char *)key->data + key->at;
    if (wanted == Py_None) {
        return PyUnicode_DecodeUTF8(start, key->end - key->at, NULL);
    }
    PyObject *name = PyBytes_FromStringAndSize(start, key->end - key->at);
    PyObject *called = name ? PyDict_GetItemWithError(wanted, name) : NULL;
    Py_XDECREF(name);
    Py_XINCREF(called);
    return called;
}

static PyObject *read_features(PyObject *payload, Reader in, PyObject *wanted) {
    Reader features, entry, key;
    PyObject *found = PyDict_New();
    if (!found) {
        return NULL;
    }
    if (!enter_last(&in, 0x0a, &features)) {
        goto unusual;
    }
    while (features.at < features.end) {
        if (!enter(&features, 0x0a, &entry) || !enter(&entry, 0x0a, &key)) {
            goto unusual;
        }
        PyObject *called = called_by(&key, wanted);
        if (PyErr_Occurred()) {
            goto unusual;
        }
        if (!called) {
            continue;
        }
        PyObject *value = single_value(payload, entry);
        int known = value ? PyDict_Contains(found, called) : 1; /* TensorFlow takes the last */
        int failed = known ? known : PyDict_SetItem(found, called, value);
        Py_XDECREF(value);
        Py_DECREF(called);
        if (failed) {
            goto unusual;
        }
    }
    return found;
unusual:
    Py_DECREF(found);
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        return NULL;
    }
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* Whether it is a memoryview that is sliced by the byte, as it is read. */
static int is_of_bytes(PyObject *payload) {
    if (!PyMemoryView_Check(payload)) {
        return 0;
    }
    const Py_buffer *view = PyMemoryView_GET_BUFFER(payload);
    return view->ndim == 1 && view->itemsize == 1;
}

static PyObject *native_single_values(PyObject *module, PyObject *args) {
    PyObject *payload, *wanted;
    if (!PyArg_ParseTuple(args, "OO:single_values", &payload, &wanted)) {
        return NULL;
    }
    if (wanted != Py_None && !PyDict_CheckExact(wanted)) {
        Py_RETURN_NONE;
    }
    if (!PyBytes_CheckExact(payload) && !is_of_bytes(payload)) {
        Py_RETURN_NONE;
    }
    Py_buffer data;
    if (!get_bytes(payload, &data, PyBUF_SIMPLE)) {
        Py_RETURN_NONE;
    }
    PyObject *found = read_features(payload, (Reader){data.buf, 0, data.len}, wanted);
    PyBuffer_Release(&data);
    return found;
}

/* --- JPEG markers: ITU-T T.81, annex B ------------------------------------------------------- */

enum { SOF0 = 0xc0, DHT = 0xc4, JPG = 0xc8, DAC = 0xcc, EOI = 0xd9, SOS = 0xda, DQT = 0xdb };
enum { DRI = 0xdd, APP0 = 0xe0, APP1 = 0xe1, APP2 = 0xe2, APP13 = 0xed, APP14 = 0xee };
enum { APP15 = 0xef, COM = 0xfe };

#define MOST_SEGMENTS 100000
#define MOST_COMPONENTS 4
#define MOST_FILLING 4096

static inline int big_endian(const byte *data) { return data[0] << 8 | data[1]; }

/* How long a segment of no further interest must be that no decoder stumbles over it. */
static Py_ssize_t plain_bytes(byte code) {
    if (code == APP0) {
        return 14; /* JFIF */
    }
    if (code == APP14) {
        return 12; /* Adobe */
    }
    if (code == DHT || code == DRI || code == COM || code == APP15 ||
        (code > APP2 && code < APP13)) {
        return 0;
    }
    return 1 << 16;
}

static int is_icc(const byte *segment, Py_ssize_t size) {
    return size > 14 && !memcmp(segment, "ICC_PROFILE", 12) && segment[13] == 1;
}

static int is_plain_table(const byte *segment, Py_ssize_t size) {
    if (size == 0 || size % 65) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < size; i += 65) {
        if (segment[i] >= 16) {
            return 0;
        }
    }
    return 1;
}

/* EXIF, of which one tag is of interest: CIPA DC-008, TIFF 6.0. */
enum { TIFF_AT = 6, TAGS_AT = 10, TAG_BYTES = 12, SHORT = 3, RATIONAL = 5 };
enum { ORIENTATION = 0x0112, X_RESOLUTION = 0x011a, RESOLUTION_UNIT = 0x0128 };

static const byte kind_bytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};

static uint64_t number_at(const byte *data, int count, int is_little) {
    uint64_t number = 0;
    for (int i = 0; i < count; i++) {
        number = number << 8 | data[is_little ? count - 1 - i : i];
    }
    return number;
}

/* Return the orientation in an EXIF block that every decoder reads alike, else 0. */
static int orientation_of(const byte *segment, Py_ssize_t length) {
    const byte *block = segment + TIFF_AT;
    if (length < TIFF_AT + TAGS_AT || memcmp(segment, "Exif\0", TIFF_AT)) {
        return 0;
    }
    int is_little = !memcmp(block, "II*\0\x08\0\0", 8);
    if (!is_little && memcmp(block, "MM\0*\0\0\0\x08", 8)) {
        return 0;
    }
    uint64_t size = (uint64_t)(length - TIFF_AT), outside = 0;
    uint64_t stop = TAGS_AT + TAG_BYTES * number_at(block + 8, 2, is_little);
    int found = 0;
    if (stop + 4 > size) {
        return 0;
    }
    for (const byte *tag = block + TAGS_AT; tag < block + stop; tag += TAG_BYTES) {
        uint64_t kind = number_at(tag + 2, 2, is_little), count = number_at(tag + 4, 4, is_little);
        uint64_t bytes = kind < sizeof kind_bytes ? count * kind_bytes[kind] : 0;
        int is_outside = bytes > 4;
        outside += is_outside ? bytes : 0;
        if (bytes == 0 || outside > size ||
            (is_outside && number_at(tag + 8, 4, is_little) + bytes > size)) {
            return 0;
        }
        uint64_t name = number_at(tag, 2, is_little);
        if (((name == ORIENTATION || name == RESOLUTION_UNIT) && (kind != SHORT || count != 1)) ||
            (name == X_RESOLUTION && (kind != RATIONAL || count != 1))) {
            return 0; /* Pillow reads these three when it opens a JPEG */
        }
        if (name == ORIENTATION) {
            int value = (int)number_at(tag + 8, 2, is_little);
            if (found) {
                return 0;
            }
            found = value >= 1 && value <= 8 ? value : 1;
        }
    }
    return found ? found : 1;
}

#define XMP "http://ns.adobe.com/xap/1.0/"
#define XMP_BYTES ((Py_ssize_t)sizeof XMP)

#define PHOTOSHOP "Photoshop 3.0"
#define PHOTOSHOP_BYTES ((Py_ssize_t)sizeof PHOTOSHOP)
#define RESOURCE_BYTES 6

/* Whether a Photoshop segment holds whole image resources, one behind the other. */
static int is_photoshop(const byte *segment, Py_ssize_t length) {
    if (length < PHOTOSHOP_BYTES || memcmp(segment, PHOTOSHOP, PHOTOSHOP_BYTES)) {
        return 0;
    }
    Py_ssize_t at = PHOTOSHOP_BYTES;
    while (length - at >= 4 && !memcmp(segment + at, "8BIM", 4)) {
        at += RESOURCE_BYTES;
        at += 1 + (at < length ? segment[at] : 0); /* its name */
        at += at & 1;
        if (length - at < 4) {
            return 0;
        }
        at += 4 + (Py_ssize_t)number_at(segment + at, 4, 0);
        if (at > length) {
            return 0;
        }
        at += at & 1;
    }
    return 1;
}

static PyObject *frame_of(const byte *data, Py_ssize_t size) {
    Py_ssize_t at = 2, length = 0;
    const byte *frame = NULL, *segment = NULL;
    int plain = 1, icc = 0, orientation = 0;
    byte type = 0;
    for (int segments = 0; segments < MOST_SEGMENTS; segments++) {
        if (at + 1 >= size || data[at] != 0xff || data[at + 1] == EOI) {
            Py_RETURN_NONE;
        }
        byte code = data[at + 1];
        if (code == 0xff) {
            plain = 0;
            at++;
            continue;
        }
        if (at + 4 > size || big_endian(data + at + 2) < 2) {
            Py_RETURN_NONE;
        }
        segment = data + at + 4;
        at += 2 + big_endian(data + at + 2);
        length = (at < size ? at : size) - (segment - data);
        if (code == SOS) {
            break;
        }
        if (code >= SOF0 && code < SOF0 + 16 && code != DHT && code != JPG && code != DAC &&
            length >= 6) {
            int sides = big_endian(segment + 1) && big_endian(segment + 3);
            int components = segment[5] == 1 || segment[5] == 3;
            plain = plain && !frame && code < SOF0 + 3 && segment[0] == 8 && components && sides;
            plain = plain && length == 6 + 3 * segment[5];
            if (segment[5] > MOST_COMPONENTS || length < 6 + 3 * segment[5]) {
                Py_RETURN_NONE;
            }
            frame = segment;
            type = code - SOF0;
        } else if (code == APP2) {
            plain = plain && !icc && !frame && is_icc(segment, length);
            icc = 1;
        } else if (code == APP1 && length >= XMP_BYTES && !memcmp(segment, XMP, XMP_BYTES)) {
            plain = plain && !memmem(segment, (size_t)length, "tiff:Orientation", 16);
        } else if (code == APP13) {
            plain = plain && is_photoshop(segment, length);
        } else if (code == APP1) {
            plain = plain && !orientation;
            orientation = orientation_of(segment, length);
            plain = plain && orientation;
        } else if (code == DQT) {
            plain = plain && is_plain_table(segment, length);
        } else {
            plain = plain && length >= plain_bytes(code);
        }
        segment = NULL;
    }
    if (!frame || !segment) {
        Py_RETURN_NONE;
    }
    int components = frame[5];
    PyObject *sampling = PyTuple_New(components);
    for (int i = 0; sampling && i < components; i++) {
        byte factors = frame[7 + 3 * i];
        PyObject *pair = Py_BuildValue("(ii)", factors >> 4, factors & 15);
        if (!pair) {
            Py_CLEAR(sampling);
            break;
        }
        PyTuple_SET_ITEM(sampling, i, pair);
    }
    if (!sampling) {
        return NULL;
    }
    return Py_BuildValue("(iiiNNNiNn)", (int)type, big_endian(frame + 1), big_endian(frame + 3),
                         sampling, PyBool_FromLong(length > 0 && segment[0] == components),
                         PyBool_FromLong(icc), orientation ? orientation : 1,
                         PyBool_FromLong(plain && at <= size), at);
}

static PyObject *native_jpeg_frame(PyObject *module, PyObject *object) {
    Py_buffer data;
    if (!get_bytes(object, &data, PyBUF_SIMPLE)) {
        Py_RETURN_NONE;
    }
    PyObject *found = frame_of(data.buf, data.len);
    PyBuffer_Release(&data);
    return found;
}

/* Return where the end marker is if it is the first behind `at`, else -1. */
static Py_ssize_t scan_end(const byte *data, Py_ssize_t size, Py_ssize_t at) {
    Py_ssize_t filling = 0;
    while (at + 1 < size) {
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
        if (filling >= MOST_FILLING - 1 || (code != 0xff && code && (code & 0xf8) != 0xd0)) {
            return -1;
        }
    }
    return -1;
}

static PyObject *native_scan_end(PyObject *module, PyObject *args) {
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

/* --- pixels ---------------------------------------------------------------------------------- */

static const float UNIT = 1.0f / 255.0f;

static void to_unit(const byte *pixels, float *out, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        out[i] = (float)pixels[i] * UNIT;
    }
}

static PyObject *native_stack(PyObject *module, PyObject *args) {
    PyObject *list, *array, *answer = NULL;
    Py_buffer out;
    int unit;
    if (!PyArg_ParseTuple(args, "O!Op:stack", &PyList_Type, &list, &array, &unit)) {
        return NULL;
    }
    if (!get_bytes(array, &out, PyBUF_WRITABLE)) {
        Py_RETURN_FALSE;
    }
    Py_ssize_t count = PyList_GET_SIZE(list), opened = 0, total = 0, width = unit ? 4 : 1;
    Py_buffer *pixels = PyMem_New(Py_buffer, (size_t)count);
    if (!pixels) {
        PyErr_NoMemory();
        goto done;
    }
    int usual = out.itemsize == width && (uintptr_t)out.buf % (uintptr_t)width == 0;
    while (usual && opened < count) {
        usual = get_bytes(PyList_GET_ITEM(list, opened), &pixels[opened], PyBUF_SIMPLE);
        if (usual) {
            usual = pixels[opened].itemsize == 1;
            total += pixels[opened++].len;
        }
    }
    if (!usual) {
        answer = Py_NewRef(Py_False);
        goto done;
    }
    if (total * width != out.len) {
        PyErr_Format(PyExc_ValueError, "found %zd values, expected %zd", total, out.len / width);
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    byte *place = out.buf;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (unit) {
            to_unit(pixels[i].buf, (float *)(void *)place, pixels[i].len);
        } else {
            memcpy(place, pixels[i].buf, (size_t)pixels[i].len);
        }
        place += pixels[i].len * width;
    }
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_True);
done:
    while (opened) {
        PyBuffer_Release(&pixels[--opened]);
    }
    PyMem_Free(pixels);
    PyBuffer_Release(&out);
    return answer;
}

/* --- the module ------------------------------------------------------------------------------ */

static PyMethodDef methods[] = {
    {"single_values", native_single_values, METH_VARARGS, NULL},
    {"jpeg_frame", native_jpeg_frame, METH_O, NULL},
    {"scan_end", native_scan_end, METH_VARARGS, NULL},
    {"stack", native_stack, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", NULL, 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
