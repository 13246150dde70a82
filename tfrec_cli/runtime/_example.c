/* `tf.train.Example` messages of single values: read, and encoded.
 *
 * Knows: protobuf's wire format. Must not know: what features mean.
 */

#include "_native.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
            return one || !shift; /* else the number has more bytes than it needs */
        }
    }
    return 0;
}

/* Enter a field: `inner` becomes its content, and `in` moves past it. */
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

/* Enter a field that must be the last one. */
static int enter_last(Reader *in, byte tag, Reader *inner) {
    return enter(in, tag, inner) && in->at == in->end;
}

#define BYTES_LIST 0x0a
#define INT64_LIST 0x1a

/* Return the single value of a feature; NULL with an exception if there is an error, NULL without
 * one if the layout is unusual. */
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

/* Return what to call a feature; NULL if it is not wanted, NULL with an exception on an error. */
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
        int known = value ? PyDict_Contains(found, called) : 1; /* twice: TensorFlow takes the last */
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

PyObject *native_single_values(PyObject *module, PyObject *args) {
    PyObject *payload, *wanted;
    if (!PyArg_ParseTuple(args, "OO:single_values", &payload, &wanted)) {
        return NULL;
    }
    if (wanted != Py_None && !PyDict_CheckExact(wanted)) {
        Py_RETURN_NONE;
    }
    if (!PyBytes_CheckExact(payload) && !PyMemoryView_Check(payload)) {
        Py_RETURN_NONE;
    }
    Py_buffer data;
    if (!get_bytes(payload, &data, PyBUF_ND)) {
        Py_RETURN_NONE;
    }
    int by_bytes = data.ndim == 1 && data.itemsize == 1; /* as slices count */
    PyObject *found = by_bytes ? read_features(payload, (Reader){data.buf, 0, data.len}, wanted)
                               : Py_NewRef(Py_None);
    PyBuffer_Release(&data);
    return found;
}

static int varint_bytes(uint64_t number) {
    int count = 1;
    while (number >>= 7) {
        count++;
    }
    return count;
}

static byte *put_varint(byte *out, uint64_t number) {
    for (; number >= 0x80; number >>= 7) {
        *out++ = (byte)(number | 0x80);
    }
    *out++ = (byte)number;
    return out;
}

static byte *put_head(byte *out, byte tag, uint64_t length) {
    *out++ = tag;
    return put_varint(out, length);
}

/* One feature, and the length of each part of it. */
typedef struct {
    const char *key;
    const byte *value; /* NULL for a number */
    uint64_t number, key_bytes, value_bytes, list_bytes, feature_bytes, entry_bytes;
} Entry;

#define MOST_ENTRIES 32

static uint64_t field_bytes(uint64_t length) {
    return 1 + (uint64_t)varint_bytes(length) + length;
}

/* Measure a feature; return whether it is a usual one. */
static int measure(PyObject *key, PyObject *value, Entry *entry) {
    Py_ssize_t length;
    if (!PyUnicode_CheckExact(key) || !(entry->key = PyUnicode_AsUTF8AndSize(key, &length))) {
        PyErr_Clear();
        return 0;
    }
    entry->key_bytes = (uint64_t)length;
    entry->value = NULL;
    if (PyBytes_CheckExact(value)) {
        char *start = NULL;
        PyBytes_AsStringAndSize(value, &start, &length);
        entry->value = (const byte *)start;
        entry->value_bytes = (uint64_t)length;
    } else if (PyLong_CheckExact(value)) {
        int overflow;
        entry->number = (uint64_t)PyLong_AsLongLongAndOverflow(value, &overflow);
        entry->value_bytes = (uint64_t)varint_bytes(entry->number);
        if (overflow) {
            return 0;
        }
    } else {
        return 0;
    }
    entry->list_bytes = field_bytes(entry->value_bytes);
    entry->feature_bytes = field_bytes(entry->list_bytes);
    entry->entry_bytes = field_bytes(entry->key_bytes) + field_bytes(entry->feature_bytes);
    return 1;
}

static int by_key(const void *one, const void *other) {
    const Entry *first = one, *second = other;
    uint64_t shorter = first->key_bytes < second->key_bytes ? first->key_bytes : second->key_bytes;
    int order = memcmp(first->key, second->key, shorter);
    return order ? order : (first->key_bytes > shorter) - (second->key_bytes > shorter);
}

static byte *put_entry(byte *out, const Entry *entry) {
    out = put_head(out, 0x0a, entry->entry_bytes);
    out = put_head(out, 0x0a, entry->key_bytes);
    memcpy(out, entry->key, entry->key_bytes);
    out = put_head(out + entry->key_bytes, 0x12, entry->feature_bytes);
    out = put_head(out, entry->value ? BYTES_LIST : INT64_LIST, entry->list_bytes);
    out = put_head(out, 0x0a, entry->value_bytes);
    if (!entry->value) {
        return put_varint(out, entry->number);
    }
    memcpy(out, entry->value, entry->value_bytes);
    return out + entry->value_bytes;
}

PyObject *native_encode(PyObject *module, PyObject *features) {
    Py_ssize_t size = PyDict_CheckExact(features) ? PyDict_Size(features) : 0;
    if (!size || size > MOST_ENTRIES) {
        Py_RETURN_NONE;
    }
    Entry entries[MOST_ENTRIES];
    PyObject *key, *value;
    Py_ssize_t at = 0;
    size_t count = 0;
    uint64_t total = 0;
    while (PyDict_Next(features, &at, &key, &value)) { /* no Python runs: nothing changes */
        if (!measure(key, value, &entries[count])) {
            Py_RETURN_NONE;
        }
        total += field_bytes(entries[count++].entry_bytes);
    }
    qsort(entries, count, sizeof(Entry), by_key);
    PyObject *found = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)field_bytes(total));
    if (found) {
        byte *out = put_head((byte *)PyBytes_AsString(found), 0x0a, total);
        for (size_t i = 0; i < count; i++) {
            out = put_entry(out, &entries[i]);
        }
    }
    return found;
}
