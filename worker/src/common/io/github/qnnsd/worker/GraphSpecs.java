package io.github.qnnsd.worker;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.util.Arrays;
import java.util.Map;

/** Reads the inputs and outputs of a graph, and refuses what the protocol can't carry. */
final class GraphSpecs {
    /** More than a reply has before its tensors: times, and their number. */
    private static final long REPLY_HEAD_BYTES = 64;

    private GraphSpecs() {}

    /** In the graph's order. */
    static TensorSpec[] inputs(String component, OrtSession session) throws OrtException, RequestException {
        TensorSpec[] inputs = specs(session.getInputInfo());
        if (inputs.length > Protocol.MAX_TENSORS) {
            throw cannotLoad(
                    component + " has " + inputs.length + " inputs",
                    "A component has at most " + Protocol.MAX_TENSORS + ".");
        }
        return inputs;
    }

    /** In the graph's order; all of them fit in one reply. */
    static TensorSpec[] outputs(String component, OrtSession session) throws OrtException, RequestException {
        TensorSpec[] outputs = specs(session.getOutputInfo());
        if (outputs.length < 1 || outputs.length > Protocol.MAX_TENSORS) {
            throw cannotLoad(
                    component + " has " + outputs.length + " outputs",
                    "A component has 1 to " + Protocol.MAX_TENSORS + ".");
        }
        long bytes = REPLY_HEAD_BYTES;
        for (TensorSpec output : outputs) {
            bytes += output.headBytes() + output.bytes();
        }
        if (bytes > Protocol.MAX_BODY_BYTES) {
            throw cannotLoad(
                    "The outputs of " + component + " are too large for one reply",
                    "It would have " + bytes + " bytes, " + Protocol.MAX_BODY_BYTES + " are the most.");
        }
        return outputs;
    }

    private static TensorSpec[] specs(Map<String, NodeInfo> infos) throws RequestException {
        TensorSpec[] specs = new TensorSpec[infos.size()];
        int index = 0;
        for (Map.Entry<String, NodeInfo> entry : infos.entrySet()) {
            specs[index++] = spec(entry.getKey(), entry.getValue());
        }
        return specs;
    }

    private static TensorSpec spec(String name, NodeInfo info) throws RequestException {
        if (!(info.getInfo() instanceof TensorInfo)) {
            throw cannotLoad(name + " isn't a tensor", "Inputs and outputs must be tensors.");
        }
        TensorInfo tensor = (TensorInfo) info.getInfo();
        long[] shape = tensor.getShape();
        long bytes = DType.BYTES;
        for (long size : shape) {
            bytes = size < 1 || size > Protocol.MAX_BODY_BYTES ? Long.MAX_VALUE : bytes * size;
            if (bytes > Protocol.MAX_BODY_BYTES) {
                throw cannotLoad(
                        "The shape of " + name + " isn't static, or too large for a frame",
                        "It is " + Arrays.toString(shape) + ".");
            }
        }
        if (shape.length > Protocol.MAX_RANK || name.length() > FrameWriter.MAX_TEXT) {
            throw cannotLoad(
                    "An input or output can't be described to the host",
                    "Its rank is " + shape.length + ", its name has " + name.length() + " characters.");
        }
        return new TensorSpec(name, DType.of(tensor.type), shape);
    }

    private static RequestException cannotLoad(String what, String why) {
        return new RequestException(Protocol.LOAD_FAILED, what, why);
    }
}
