/* The keyed permutation of permutation.py.
 *
 * Knows: numbers. Must not know: what they count.
 *
 * In NumPy, 32 numbers cost a thousand times as much.
 */

#include "_native.h"

#include <stdint.h>

#define ROUNDS 8

/* Return the first word of Philox 4x32-10. */
static uint32_t philox(uint32_t half, uint32_t round, const uint32_t *key) {
    uint32_t c0 = half, c1 = round, c2 = key[2], c3 = key[3], k0 = key[0], k1 = key[1];
    for (int i = 0; i < 10; i++) {
        uint64_t left = (uint64_t)0xD2511F53u * c0, right = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(right >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(left >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)right;
        c3 = (uint32_t)left;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c0;
}

static uint64_t permuted(uint64_t number, uint64_t count, int bits, const uint32_t *key,
                         int inverse) {
    int low_bits = bits / 2;
    uint32_t masks[2] = {(uint32_t)((1ull << low_bits) - 1),
                         (uint32_t)((1ull << (bits - low_bits)) - 1)};
    do {
        uint32_t halves[2] = {(uint32_t)number & masks[0], (uint32_t)(number >> low_bits)};
        for (int i = 0; i < ROUNDS; i++) {
            int round = inverse ? ROUNDS - 1 - i : i, read = round % 2;
            halves[1 - read] ^= philox(halves[read], (uint32_t)round, key) & masks[1 - read];
        }
        number = (uint64_t)halves[1] << low_bits | halves[0];
    } while (number >= count);
    return number;
}

PyObject *native_permute(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *array, *words, *answer = NULL;
    Py_buffer numbers, key;
    long long count;
    int bits, inverse;
    if (!PyArg_ParseTuple(args, "OLiOp:permute", &array, &count, &bits, &words, &inverse)) {
        return NULL;
    }
    if (!get_bytes(array, &numbers, PyBUF_WRITABLE)) {
        Py_RETURN_FALSE;
    }
    if (!get_bytes(words, &key, PyBUF_SIMPLE)) {
        PyBuffer_Release(&numbers);
        Py_RETURN_FALSE;
    }
    int usual = numbers.len % 8 == 0 && (uintptr_t)numbers.buf % 8 == 0 && key.len == 16 &&
                (uintptr_t)key.buf % 4 == 0 && bits > 1 && bits <= 62 && count > 0 &&
                (uint64_t)count <= 1ull << bits;
    if (usual) {
        int64_t *values = numbers.buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < numbers.len / 8; i++) {
            usual = usual && values[i] >= 0 && values[i] < count;
        }
        for (Py_ssize_t i = 0; usual && i < numbers.len / 8; i++) {
            values[i] =
                (int64_t)permuted((uint64_t)values[i], (uint64_t)count, bits, key.buf, inverse);
        }
        Py_END_ALLOW_THREADS
    }
    answer = Py_NewRef(usual ? Py_True : Py_False);
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&key);
    return answer;
}
