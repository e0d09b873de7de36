package io.github.qnnsd.worker;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;

/** A loaded graph with the memory of its inputs and of its one output. */
final class Component {
    private static final int PIECE = 4096;
    private static final int MAX_INPUTS = 64;

    final Opening opening;
    final long loadNanoseconds;
    final Port[] inputs;
    final Port output;
    private final OrtEnvironment environment;
    private final OrtSession session;
    private final Tensor[] memory;
    private final boolean[] bound;
    private final Tensor result;
    private final Map<String, OnnxTensor> feeds = new HashMap<String, OnnxTensor>();
    private final Map<String, OnnxTensor> fetches = new HashMap<String, OnnxTensor>();
    private final float[] first = new float[PIECE];
    private final float[] second = new float[PIECE];
    private Tensor guidedResult;

    Component(OrtEnvironment environment, OrtSession session, Opening opening, long loadNanoseconds)
            throws OrtException, Refusal {
        this.environment = environment;
        this.session = session;
        this.opening = opening;
        this.loadNanoseconds = loadNanoseconds;
        inputs = ports(session.getInputInfo());
        if (inputs.length > MAX_INPUTS) {
            throw new Refusal(
                    Protocol.LOAD_FAILED,
                    opening.component + " has " + inputs.length + " inputs",
                    "A component has at most " + MAX_INPUTS + ".");
        }
        Port[] outputs = ports(session.getOutputInfo());
        if (outputs.length != 1) {
            throw new Refusal(
                    Protocol.LOAD_FAILED,
                    opening.component + " has " + outputs.length + " outputs",
                    "A component has exactly one.");
        }
        output = outputs[0];
        memory = new Tensor[inputs.length];
        bound = new boolean[inputs.length];
        for (int index = 0; index < inputs.length; index++) {
            memory[index] = new Tensor(environment, inputs[index]);
        }
        result = new Tensor(environment, output);
    }

    private static Port[] ports(Map<String, NodeInfo> infos) throws Refusal {
        Port[] ports = new Port[infos.size()];
        int index = 0;
        for (Map.Entry<String, NodeInfo> entry : infos.entrySet()) {
            ports[index++] = port(entry.getKey(), entry.getValue());
        }
        return ports;
    }

    private static Port port(String name, NodeInfo info) throws Refusal {
        if (!(info.getInfo() instanceof TensorInfo)) {
            throw new Refusal(Protocol.LOAD_FAILED, name + " isn't a tensor", "Only tensors travel.");
        }
        TensorInfo tensor = (TensorInfo) info.getInfo();
        long[] shape = tensor.getShape();
        long bytes = DType.BYTES;
        for (long size : shape) {
            bytes = size < 1 || size > Protocol.MAX_BODY_BYTES ? Long.MAX_VALUE : bytes * size;
            if (bytes > Protocol.MAX_BODY_BYTES) {
                throw new Refusal(
                        Protocol.LOAD_FAILED,
                        "The shape of " + name + " isn't static, or too large to travel",
                        "It is " + Arrays.toString(shape) + ".");
            }
        }
        if (shape.length > Protocol.MAX_RANK || name.length() > FrameWriter.MAX_TEXT) {
            throw new Refusal(
                    Protocol.LOAD_FAILED,
                    "An input or output can't be told to the host",
                    "Its rank is " + shape.length + ", its name has " + name.length() + " characters.");
        }
        return new Port(name, DType.of(tensor.type), shape);
    }

    /** Index of an input that hasn't been given in this call yet. */
    int claim(String name) throws Refusal {
        for (int index = 0; index < inputs.length; index++) {
            if (inputs[index].name.equals(name)) {
                if (bound[index]) {
                    throw badInput(name + " is given twice", "Each input has one value.");
                }
                bound[index] = true;
                return index;
            }
        }
        throw badInput(opening.component + " has no input " + name, "Its inputs are the ones that OPEN told.");
    }

    /** This component's own memory for an input that comes with the call. */
    Tensor own(int index, Port given) throws Refusal {
        check(index, given);
        feeds.put(inputs[index].name, memory[index].value);
        return memory[index];
    }

    /** Takes an input from where it lies. */
    void bind(int index, Tensor tensor) throws Refusal {
        check(index, tensor.port);
        feeds.put(inputs[index].name, tensor.value);
    }

    private void check(int index, Port given) throws Refusal {
        if (!inputs[index].takes(given)) {
            throw badInput(given.describe() + " doesn't fit", "The input is " + inputs[index].describe() + ".");
        }
    }

    /** Starts a call: no input is given yet. */
    void begin() {
        Arrays.fill(bound, false);
    }

    void checkComplete() throws Refusal {
        for (int index = 0; index < inputs.length; index++) {
            if (!bound[index]) {
                throw badInput(inputs[index].describe() + " is missing", "A call gives every input.");
            }
        }
    }

    boolean feedsFrom(Tensor tensor) {
        return feeds.containsValue(tensor.value);
    }

    Tensor result() {
        return result;
    }

    /** Where the second pass of guidance goes; made at the first one. */
    Tensor guidedResult() throws OrtException {
        if (guidedResult == null) {
            guidedResult = new Tensor(environment, output);
        }
        return guidedResult;
    }

    /** Runs the graph on what is bound, into the memory of {@code target}; returns nanoseconds. */
    long run(Tensor target) throws Refusal {
        fetches.put(output.name, target.value);
        long started = System.nanoTime();
        try {
            session.run(feeds, Collections.<String>emptySet(), fetches).close();
        } catch (OrtException error) {
            throw new Refusal(Protocol.RUN_FAILED, opening.component + " failed", Text.of(error));
        }
        return System.nanoTime() - started;
    }

    /** result = result + guidance * (guidedResult - result), each step rounded to float32; returns nanoseconds. */
    long combine(float guidance) throws OrtException {
        long started = System.nanoTime();
        FloatBuffer base = result.floats();
        FloatBuffer other = guidedResult().floats();
        while (base.hasRemaining()) {
            int count = Math.min(PIECE, base.remaining());
            int place = base.position();
            base.get(first, 0, count);
            other.get(second, 0, count);
            for (int index = 0; index < count; index++) {
                first[index] = first[index] + guidance * (second[index] - first[index]);
            }
            base.position(place);
            base.put(first, 0, count);
        }
        return System.nanoTime() - started;
    }

    void close() throws OrtException {
        session.close();
        for (Tensor tensor : memory) {
            tensor.close();
        }
        result.close();
        if (guidedResult != null) {
            guidedResult.close();
        }
    }

    private static Refusal badInput(String what, String why) {
        return new Refusal(Protocol.BAD_INPUT, what, why);
    }
}
