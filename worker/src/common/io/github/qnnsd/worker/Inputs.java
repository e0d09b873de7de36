package io.github.qnnsd.worker;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** A component's inputs: memory for those that come with a call, and what each is bound to. */
final class Inputs {
    final TensorSpec[] specs;
    private final String component;
    private final Tensor[] memory;
    private final boolean[] given;
    private final Tensor[][] passes;
    private final Map<String, OnnxTensor> feeds = new HashMap<String, OnnxTensor>();

    Inputs(OrtEnvironment environment, String component, TensorSpec[] specs) throws OrtException {
        this.component = component;
        this.specs = specs;
        memory = Tensor.allocate(environment, specs);
        given = new boolean[specs.length];
        passes = new Tensor[Protocol.MAX_PASSES][specs.length];
    }

    /** Starts a call: no input is given yet. */
    void begin() {
        Arrays.fill(given, false);
        for (Tensor[] pass : passes) {
            Arrays.fill(pass, null);
        }
    }

    /** Index of an input that hasn't been given in this call yet. */
    int claim(String name) throws RequestException {
        for (int index = 0; index < specs.length; index++) {
            if (specs[index].name.equals(name)) {
                if (given[index]) {
                    throw badInput(name + " is given twice", "Each input has one value.");
                }
                given[index] = true;
                return index;
            }
        }
        throw badInput(component + " has no input " + name, "Its inputs are in the reply to OPEN.");
    }

    /** This component's own memory for an input that comes with the call. */
    Tensor own(int index, TensorSpec value) throws RequestException {
        check(index, value);
        feeds.put(specs[index].name, memory[index].value);
        return memory[index];
    }

    /** Reads an input from where it is kept, in all passes. */
    void bind(int index, Tensor tensor) throws RequestException {
        check(index, tensor.spec);
        feeds.put(specs[index].name, tensor.value);
    }

    /** Reads an input from where it is kept, in one pass of guidance. */
    void bindInPass(int pass, int index, Tensor tensor) throws RequestException {
        check(index, tensor.spec);
        passes[pass][index] = tensor;
    }

    void checkComplete() throws RequestException {
        for (int index = 0; index < specs.length; index++) {
            if (!given[index]) {
                throw badInput(specs[index].describe() + " is missing", "A call gives every input.");
            }
        }
    }

    boolean readFrom(Tensor tensor) {
        return feeds.containsValue(tensor.value);
    }

    /** What ONNX Runtime is fed in a call without passes. */
    Map<String, OnnxTensor> feeds() {
        return feeds;
    }

    /** What ONNX Runtime is fed in one pass of guidance. */
    Map<String, OnnxTensor> feeds(int pass) {
        for (int index = 0; index < specs.length; index++) {
            if (passes[pass][index] != null) {
                feeds.put(specs[index].name, passes[pass][index].value);
            }
        }
        return feeds;
    }

    void close() {
        Tensor.closeAll(memory);
    }

    private void check(int index, TensorSpec value) throws RequestException {
        if (!specs[index].takes(value)) {
            throw badInput(value.describe() + " doesn't fit", "The input is " + specs[index].describe() + ".");
        }
    }

    private static RequestException badInput(String what, String why) {
        return new RequestException(Protocol.BAD_INPUT, what, why);
    }
}
