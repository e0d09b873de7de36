package io.github.qnnsd.worker;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** Memory that ONNX Runtime and the wire share: a direct buffer, bound once. */
final class Tensor {
    final Port port;
    final OnnxTensor value;
    private final ByteBuffer bytes;
    private final FloatBuffer floats;

    Tensor(OrtEnvironment environment, Port port) throws OrtException {
        this.port = port;
        ByteBuffer memory = ByteBuffer.allocateDirect(port.bytes()).order(ByteOrder.nativeOrder());
        value = OnnxTensor.createTensor(environment, memory, port.shape, port.dtype.type);
        // Views have positions of their own: ONNX Runtime's buffer is never moved.
        bytes = memory.duplicate();
        floats = memory.duplicate().order(ByteOrder.nativeOrder()).asFloatBuffer();
    }

    /** All bytes, from the start. */
    ByteBuffer bytes() {
        bytes.clear();
        return bytes;
    }

    /** All elements as float32, from the start. */
    FloatBuffer floats() {
        floats.clear();
        return floats;
    }

    void close() {
        value.close();
    }
}
