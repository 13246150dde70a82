/* Loops over bytes in C: the module, and how pixels are stacked.
 *
 * Knows: bytes. Must not know: how results are used.
 *
 * Each function of the module handles usual input, with the results that the Python code of its
 * caller would give, and leaves the rest to that code, errors included. native.py documents the
 * functions. So nothing here has to be complete; it has to be correct, and must not read outside
 * its input.
 *
 * Only the limited API of CPython 3.11 is used, so that one wheel runs on every newer CPython.
 */

#include "_native.h"

#include <stdint.h>
#include <string.h>

static const float UNIT = 1.0f / 255.0f;

/* Rows of pixels, red, green and blue; bytes without rows are one row. */
typedef struct {
    Py_buffer data;
    Py_ssize_t rows, values, stride; /* values in a row, bytes between two rows */
} Pixels;

/* Return whether an object has rows of adjacent bytes. */
static int get_pixels(PyObject *object, Pixels *pixels) {
    Py_buffer *data = &pixels->data;
    if (!get_bytes(object, data, PyBUF_STRIDED_RO)) {
        return 0;
    }
    int last = data->ndim - 1, is_image = last == 2;
    pixels->rows = is_image ? data->shape[0] : 1;
    pixels->values = is_image ? data->shape[1] * data->shape[2] : data->len;
    pixels->stride = is_image ? data->strides[0] : 0;
    int usual = data->itemsize == 1 && last >= 0 && data->strides[last] == 1 &&
                (is_image ? data->strides[1] == data->shape[2] : last == 0);
    if (!usual) {
        PyBuffer_Release(data);
    }
    return usual;
}

static void to_unit(const byte *pixels, float *out, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        out[i] = (float)pixels[i] * UNIT;
    }
}

/* Copy the values of a row one after the other. */
static void copy_row(const byte *pixels, byte *out, Py_ssize_t count, int unit) {
    if (unit) {
        to_unit(pixels, (float *)(void *)out, count);
    } else {
        memcpy(out, pixels, (size_t)count);
    }
}

/* Copy a row into three planes. */
static void part_row(const byte *pixels, byte *out, Py_ssize_t count, Py_ssize_t plane, int unit) {
    float *units = (float *)(void *)out;
    for (int channel = 0; channel < 3; channel++, pixels++, out += plane, units += plane) {
        for (Py_ssize_t i = 0; unit && i < count / 3; i++) {
            units[i] = (float)pixels[3 * i] * UNIT;
        }
        for (Py_ssize_t i = 0; !unit && i < count / 3; i++) {
            out[i] = pixels[3 * i];
        }
    }
}

static void copy_image(const Pixels *pixels, byte *out, int unit, int planar) {
    Py_ssize_t plane = pixels->rows * pixels->values / 3, width = unit ? 4 : 1;
    const byte *row = pixels->data.buf;
    for (Py_ssize_t i = 0; i < pixels->rows; i++, row += pixels->stride) {
        if (planar) {
            part_row(row, out + i * (pixels->values / 3) * width, pixels->values, plane, unit);
        } else {
            copy_row(row, out + i * pixels->values * width, pixels->values, unit);
        }
    }
}

static PyObject *native_stack(PyObject *module, PyObject *args) {
    PyObject *list, *array, *answer = NULL;
    Py_buffer out;
    int unit, planar = 0;
    if (!PyArg_ParseTuple(args, "O!Op|p:stack", &PyList_Type, &list, &array, &unit, &planar)) {
        return NULL;
    }
    if (!get_bytes(array, &out, PyBUF_WRITABLE)) {
        Py_RETURN_FALSE;
    }
    Py_ssize_t count = PyList_Size(list), opened = 0, total = 0, width = unit ? 4 : 1;
    Pixels *pixels = PyMem_New(Pixels, (size_t)count);
    if (!pixels) {
        PyErr_NoMemory();
        goto done;
    }
    int usual = out.itemsize == width && (uintptr_t)out.buf % (uintptr_t)width == 0;
    while (usual && opened < count) {
        usual = get_pixels(PyList_GetItem(list, opened), &pixels[opened]);
        if (usual) {
            Py_ssize_t values = pixels[opened].data.len;
            usual = !planar || values % 3 == 0;
            total += values;
            opened++;
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
        copy_image(&pixels[i], place, unit, planar);
        place += pixels[i].data.len * width;
    }
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_True);
done:
    while (opened) {
        PyBuffer_Release(&pixels[--opened].data);
    }
    PyMem_Free(pixels);
    PyBuffer_Release(&out);
    return answer;
}

/* --- the module ------------------------------------------------------------------------------ */

static PyMethodDef methods[] = {
    {"single_values", native_single_values, METH_VARARGS, NULL},
    {"cut", native_cut, METH_VARARGS, NULL},
    {"encode", native_encode, METH_O, NULL},
    {"jpeg_frame", native_jpeg_frame, METH_O, NULL},
    {"permute", native_permute, METH_VARARGS, NULL},
    {"read_records", native_read_records, METH_VARARGS, NULL},
    {"scan_end", native_scan_end, METH_VARARGS, NULL},
    {"stack", native_stack, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", NULL, 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
