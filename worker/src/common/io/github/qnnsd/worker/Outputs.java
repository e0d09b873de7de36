package io.github.qnnsd.worker;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.util.Arrays;

/** A component's outputs: memory for those that come back, and the slots that keep the others. */
final class Outputs {
    final TensorSpec[] specs;
    private final OrtEnvironment environment;
    private final String component;
    private final Tensor[] results;
    private final String[] slotNames;
    private final Tensor[] targets;
    private final Tensor[] returned;
    private Tensor[] secondResults;

    Outputs(OrtEnvironment environment, String component, TensorSpec[] specs) throws OrtException {
        this.environment = environment;
        this.component = component;
        this.specs = specs;
        results = Tensor.allocate(environment, specs);
        slotNames = new String[specs.length];
        targets = new Tensor[specs.length];
        returned = new Tensor[specs.length];
    }

    /** Starts a call: no output is kept yet. */
    void begin() {
        Arrays.fill(slotNames, null);
    }

    /** Keeps an output in a slot instead of sending it back. */
    void keep(String name, String slot) throws RequestException {
        int index = find(name);
        if (slotNames[index] != null) {
            throw badInput(name + " is kept twice", "An output is kept in one slot.");
        }
        for (String other : slotNames) {
            if (slot.equals(other)) {
                throw badInput("Slot " + slot + " is to keep two outputs", "A slot holds one tensor.");
            }
        }
        slotNames[index] = slot;
    }

    private int find(String name) throws RequestException {
        for (int index = 0; index < specs.length; index++) {
            if (specs[index].name.equals(name)) {
                return index;
            }
        }
        throw badInput(component + " has no output " + name, "Its outputs are in the reply to OPEN.");
    }

    /** Where this call's outputs go. All slots are checked before the first one changes. */
    Tensor[] targets(Slots slots, Inputs inputs) throws RequestException, OrtException {
        for (String slot : slotNames) {
            if (slot != null && slots.has(slot) && inputs.readFrom(slots.get(slot))) {
                throw badInput("Slot " + slot + " is input and output", "A run can't read what it writes.");
            }
        }
        for (int index = 0; index < specs.length; index++) {
            String slot = slotNames[index];
            targets[index] = slot == null ? results[index] : slots.prepare(slot, specs[index]);
        }
        return targets;
    }

    /** The outputs that come back; null in place of each that is kept. */
    Tensor[] returned() {
        for (int index = 0; index < specs.length; index++) {
            returned[index] = slotNames[index] == null ? results[index] : null;
        }
        return returned;
    }

    /** This component's own memory for all outputs. */
    Tensor[] results() {
        return results;
    }

    /** The same for the second pass of guidance; made at the first call that has one. */
    Tensor[] secondResults() throws OrtException, RequestException {
        for (TensorSpec spec : specs) {
            if (spec.dtype != DType.FLOAT32) {
                throw badInput("Guidance needs float32 outputs", component + " has " + spec.describe() + ".");
            }
        }
        if (secondResults == null) {
            secondResults = Tensor.allocate(environment, specs);
        }
        return secondResults;
    }

    void close() {
        Tensor.closeAll(results);
        if (secondResults != null) {
            Tensor.closeAll(secondResults);
        }
    }

    private static RequestException badInput(String what, String why) {
        return new RequestException(Protocol.BAD_INPUT, what, why);
    }
}
