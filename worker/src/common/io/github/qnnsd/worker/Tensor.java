package io.github.qnnsd.worker;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** A tensor's memory, a direct buffer that ONNX Runtime uses in place and frames are read into and written from. */
final class Tensor {
    final TensorSpec spec;
    final OnnxTensor value;
    private final ByteBuffer bytes;
    private final FloatBuffer floats;

    Tensor(OrtEnvironment environment, TensorSpec spec) throws OrtException {
        this.spec = spec;
        ByteBuffer memory = ByteBuffer.allocateDirect(spec.bytes()).order(ByteOrder.nativeOrder());
        value = OnnxTensor.createTensor(environment, memory, spec.shape, spec.dtype.type);
        // Views have positions of their own: ONNX Runtime's buffer is never moved.
        bytes = memory.duplicate();
        floats = memory.duplicate().order(ByteOrder.nativeOrder()).asFloatBuffer();
    }

    /** Memory for each of some inputs or outputs. */
    static Tensor[] allocate(OrtEnvironment environment, TensorSpec[] specs) throws OrtException {
        Tensor[] tensors = new Tensor[specs.length];
        for (int index = 0; index < specs.length; index++) {
            tensors[index] = new Tensor(environment, specs[index]);
        }
        return tensors;
    }

    static void closeAll(Tensor[] tensors) {
        for (Tensor tensor : tensors) {
            tensor.close();
        }
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
