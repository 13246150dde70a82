"""TensorFlow's image decoders, called in its C library without importing it.

Knows: TensorFlow's C API, by ctypes. Must not know: where windows are, TFRecord.

`import tensorflow` takes two seconds, and its data pipelines add half of the time of decoding. The
C library loads in a third of a second, once in each process.

Source: tensorflow/c/c_api.h, tensorflow/c/eager/c_api.h, tensorflow/c/tf_tensor.h, tf_tstring.h;
docs/guides/bad-images.md for the rule of exact windows.
"""

from __future__ import annotations

import ctypes
import importlib.util
import threading
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_ubyte, c_void_p
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrec_cli.errors import ImageError, RunError
from tfrec_cli.imaging import jpeg
from tfrec_cli.imaging.decoder import MARGIN_PX, Box
from tfrec_cli.runtime.stderr import stderr_silenced

if TYPE_CHECKING:
    from tfrec_cli.imaging.decoder import Decoder, Pixels

_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")
_FRAMEWORKS = ("libtensorflow_framework.so.2", "libtensorflow_framework.2.dylib")
_TF_INT32, _TF_STRING = 3, 7
_TSTRING_BYTES = 24
_CONFIG = b"\x0a\x07\x0a\x03GPU\x10\x00\x10\x01\x28\x01"
"""ConfigProto: device_count {GPU: 0}, one thread inside an operation, one for operations."""

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    # function: result, arguments
    "TF_NewStatus": (c_void_p,),
    "TF_GetCode": (c_int, c_void_p),
    "TF_Message": (c_char_p, c_void_p),
    "TF_AllocateTensor": (c_void_p, c_int, POINTER(c_int64), c_int, c_size_t),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_TensorByteSize": (c_size_t, c_void_p),
    "TF_DeleteTensor": (None, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
    "TF_StringInit": (None, c_void_p),
    "TF_StringAssignView": (None, c_void_p, c_char_p, c_size_t),
    "TFE_NewContextOptions": (c_void_p,),
    "TFE_ContextOptionsSetConfig": (None, c_void_p, c_char_p, c_size_t, c_void_p),
    "TFE_NewContext": (c_void_p, c_void_p, c_void_p),
    "TFE_NewOp": (c_void_p, c_void_p, c_char_p, c_void_p),
    "TFE_OpReset": (None, c_void_p, c_char_p, c_char_p, c_void_p),
    "TFE_OpSetAttrInt": (None, c_void_p, c_char_p, c_int64),
    "TFE_OpSetAttrBool": (None, c_void_p, c_char_p, c_ubyte),
    "TFE_OpSetAttrString": (None, c_void_p, c_char_p, c_char_p, c_size_t),
    "TFE_OpAddInput": (None, c_void_p, c_void_p, c_void_p),
    "TFE_Execute": (None, c_void_p, POINTER(c_void_p), POINTER(c_int), c_void_p),
    "TFE_NewTensorHandle": (c_void_p, c_void_p, c_void_p),
    "TFE_TensorHandleResolve": (c_void_p, c_void_p, c_void_p),
    "TFE_DeleteTensorHandle": (None, c_void_p),
}


class TensorFlowDecoder:
    """Decodes with the C library, which is loaded when it is first needed; see `load`."""

    def decode_window(self, data: bytes, width_px: int, box: Box) -> Pixels:
        """Decode one window of a JPEG that has exact windows (`decoder.has_window`).

        Args:
            width_px: width of the whole picture.
            box: (top, left, height, width) in pixels, inside the picture.
        Returns:
            uint8[height, width, 3], the same pixels as in the whole decoded picture.
        Raises:
            ImageError: it cannot be decoded.
            RunError: there is no TensorFlow.
        """
        top, left, height, width = box
        first = max(left - MARGIN_PX, 0)
        last = min(left + width + MARGIN_PX, width_px)
        wide = _run(b"DecodeAndCropJpeg", data, (top, first, height, last - first))
        return wide[:, left - first : left - first + width]

    def decode_whole(self, data: bytes) -> Pixels:
        """Decode a JPEG, PNG, GIF (its first frame) or BMP as ``tf.io.decode_image`` does.

        Returns:
            uint8[height, width, 3].
        Raises:
            ImageError: it cannot be decoded.
            RunError: there is no TensorFlow.
        """
        return _run(b"DecodeJpeg" if data[:2] == b"\xff\xd8" else b"DecodeImage", data, None)


def find_library() -> Path:
    """Return the path of TensorFlow's C library, without loading it.

    Raises:
        RunError: there is none.
    """
    found = importlib.util.find_spec("tensorflow")
    for folder in found.submodule_search_locations or () if found else ():
        for name in _LIBRARIES:
            if (Path(folder) / name).is_file():
                return Path(folder) / name
    raise RunError("TensorFlow: its C library was not found")


def load() -> None:
    """Load the library now, not when it is first needed.

    Raises:
        RunError: there is none, or it does not load.
    """
    _library()


def choose(tf: Any) -> Decoder:
    """Return the decoder for TensorFlow's reader: the C library, or Python if it is not found.

    Args:
        tf: the imported package.
    Raises:
        RunError: the library does not load.
    """
    try:
        find_library()
    except RunError:
        return QuietDecoder(EagerDecoder(tf))
    load()
    return QuietDecoder(TensorFlowDecoder())


class QuietDecoder:
    """TensorFlow's decoder for intact JPEGs, Pillow's for damaged ones: the same pixels.

    In TensorFlow, libjpeg writes errors to stderr, which do not name the record; with Pillow they
    are only in the exception.
    """

    def __init__(self, decoder: Decoder) -> None:
        from tfrec_cli.imaging.pillow_decoder import PillowDecoder

        self._decoder = decoder
        self._for_damaged = PillowDecoder()

    def decode_window(self, data: bytes, width_px: int, box: Box) -> Pixels:
        """Decode one window: see `decoder.Decoder`."""
        return self._for(data).decode_window(data, width_px, box)

    def decode_whole(self, data: bytes) -> Pixels:
        """Decode a JPEG or PNG: see `decoder.Decoder`."""
        return self._for(data).decode_whole(data)

    def _for(self, data: bytes) -> Decoder:
        is_damaged = data[:2] == b"\xff\xd8" and not jpeg.is_complete(data)
        return self._for_damaged if is_damaged else self._decoder


class EagerDecoder:
    """TensorFlow's decoders called from Python; decodes the whole picture for every window."""

    def __init__(self, tf: Any) -> None:
        self._tf = tf

    def decode_window(self, data: bytes, width_px: int, box: Box) -> Pixels:  # noqa: ARG002
        """Decode a whole JPEG and return the window: see `decoder.Decoder`."""
        top, left, height, width = box
        return self.decode_whole(data)[top : top + height, left : left + width]

    def decode_whole(self, data: bytes) -> Pixels:
        """Decode an image with ``tf.io.decode_image``: see `decoder.Decoder`."""
        tf = self._tf
        try:
            if data[:2] == b"\xff\xd8":
                decoded = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
            else:
                decoded = tf.io.decode_image(data, channels=3, expand_animations=False)
        except tf.errors.InvalidArgumentError as error:
            raise ImageError("corrupt", f"cannot be decoded: {error.message}") from error
        pixels: Pixels = decoded.numpy()
        return pixels


class _Library:
    """TensorFlow's C library and one context for all threads of a process."""

    def __init__(self) -> None:
        path = find_library()
        framework = path.with_name(_FRAMEWORKS[_LIBRARIES.index(path.name)])
        with stderr_silenced():
            try:
                ctypes.CDLL(str(framework))
                self.tf = ctypes.CDLL(str(path))
                self.context = self._context()
            except (OSError, AttributeError) as error:  # a library or a function is missing
                raise RunError(f"TensorFlow: its C library does not load: {error}") from error

    def _context(self) -> Any:
        tf = self.tf
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(tf, name)
            function.restype, function.argtypes = result, arguments
        status = tf.TF_NewStatus()
        options = tf.TFE_NewContextOptions()
        tf.TFE_ContextOptionsSetConfig(options, _CONFIG, len(_CONFIG), status)
        context = tf.TFE_NewContext(options, status)
        if tf.TF_GetCode(status):
            raise RunError(f"TensorFlow: {tf.TF_Message(status).decode()}")
        return context


class _Operation(threading.local):
    """An operation that is set up and run repeatedly, in one thread."""

    def __init__(self) -> None:
        library = _library()
        self.tf = library.tf
        self.status = library.tf.TF_NewStatus()
        self.op = library.tf.TFE_NewOp(library.context, b"DecodeJpeg", self.status)


_loading = threading.Lock()


def _library() -> _Library:
    with _loading:
        return _library_once()


_library_once = cache(_Library)


@cache
def _operation() -> _Operation:
    return _Operation()


def _run(name: bytes, data: bytes, window: tuple[int, int, int, int] | None) -> Pixels:
    """Run a decoder on the bytes of an image."""
    import numpy as np

    operation = _operation()
    tf, op, status = operation.tf, operation.op, operation.status
    tf.TFE_OpReset(op, name, None, status)
    tf.TFE_OpSetAttrInt(op, b"channels", 3)
    if name == b"DecodeImage":
        tf.TFE_OpSetAttrBool(op, b"expand_animations", 0)
    else:
        tf.TFE_OpSetAttrString(op, b"dct_method", b"INTEGER_ACCURATE", 16)
    contents = tf.TF_AllocateTensor(_TF_STRING, None, 0, _TSTRING_BYTES)
    tf.TF_StringInit(tf.TF_TensorData(contents))
    tf.TF_StringAssignView(tf.TF_TensorData(contents), data, len(data))
    inputs = [contents]
    if window:
        inputs.append(tf.TF_AllocateTensor(_TF_INT32, (c_int64 * 1)(4), 1, 16))
        ctypes.memmove(tf.TF_TensorData(inputs[1]), (c_int * 4)(*window), 16)
    handles = [tf.TFE_NewTensorHandle(tensor, status) for tensor in inputs]
    for handle in handles:
        tf.TFE_OpAddInput(op, handle, status)
    result, count = c_void_p(), c_int(1)
    tf.TFE_Execute(op, byref(result), byref(count), status)
    for handle in handles:
        tf.TFE_DeleteTensorHandle(handle)
    for tensor in inputs:
        tf.TF_DeleteTensor(tensor)
    if tf.TF_GetCode(status):
        words = tf.TF_Message(status).decode(errors="replace").splitlines()[0]
        raise ImageError("corrupt", f"cannot be decoded: {words}")
    tensor = tf.TFE_TensorHandleResolve(result, status)
    values = ctypes.string_at(tf.TF_TensorData(tensor), tf.TF_TensorByteSize(tensor))
    sides = [tf.TF_Dim(tensor, axis) for axis in range(3)]
    tf.TFE_DeleteTensorHandle(result)
    tf.TF_DeleteTensor(tensor)
    return np.frombuffer(values, np.uint8).reshape(sides)
