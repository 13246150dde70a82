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
    Py_ssize_t count = PyList_Size(list), opened = 0, total = 0, width = unit ? 4 : 1;
    Py_buffer *pixels = PyMem_New(Py_buffer, (size_t)count);
    if (!pixels) {
        PyErr_NoMemory();
        goto done;
    }
    int usual = out.itemsize == width && (uintptr_t)out.buf % (uintptr_t)width == 0;
    while (usual && opened < count) {
        usual = get_bytes(PyList_GetItem(list, opened), &pixels[opened], PyBUF_SIMPLE);
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
    {"cut", native_cut, METH_VARARGS, NULL},
    {"encode", native_encode, METH_O, NULL},
    {"jpeg_frame", native_jpeg_frame, METH_O, NULL},
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
