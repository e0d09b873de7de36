package io.github.qnnsd.worker;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.util.HashMap;
import java.util.Map;

/** Tensors that stay here under a name, so that a step sends only what changed. */
final class Slots {
    private final OrtEnvironment environment;
    private final Map<String, Tensor> tensors = new HashMap<String, Tensor>();

    Slots(OrtEnvironment environment) {
        this.environment = environment;
    }

    Tensor get(String name) throws RequestException {
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new RequestException(Protocol.BAD_INPUT, "There is no slot " + name, "It was never put, or dropped.");
        }
        return tensor;
    }

    boolean has(String name) {
        return tensors.containsKey(name);
    }

    /** The memory of a slot, made anew only where its dtype or shape changes. */
    Tensor prepare(String name, TensorSpec spec) throws OrtException {
        Tensor tensor = tensors.get(name);
        if (tensor != null && tensor.spec.takes(spec)) {
            return tensor;
        }
        Tensor made = new Tensor(environment, spec);
        tensors.put(name, made);
        if (tensor != null) {
            tensor.close();
        }
        return made;
    }

    void drop(String name) {
        Tensor tensor = tensors.remove(name);
        if (tensor != null) {
            tensor.close();
        }
    }

    void closeAll() {
        for (Tensor tensor : tensors.values()) {
            tensor.close();
        }
        tensors.clear();
    }
}
