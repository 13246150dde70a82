/* What the files of the extension share. */

#ifndef TFREC_NATIVE_H
#define TFREC_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef unsigned char byte;

/* Return whether an object's bytes are contiguous; the caller's Python handles other objects. */
static inline int get_bytes(PyObject *object, Py_buffer *data, int flags) {
    if (!PyObject_GetBuffer(object, data, flags)) {
        return 1;
    }
    PyErr_Clear();
    return 0;
}

PyObject *native_cut(PyObject *module, PyObject *args);
PyObject *native_encode(PyObject *module, PyObject *features);
PyObject *native_jpeg_frame(PyObject *module, PyObject *object);
PyObject *native_permute(PyObject *module, PyObject *args);
PyObject *native_read_records(PyObject *module, PyObject *args);
PyObject *native_scan_end(PyObject *module, PyObject *args);
PyObject *native_single_values(PyObject *module, PyObject *args);

#endif
