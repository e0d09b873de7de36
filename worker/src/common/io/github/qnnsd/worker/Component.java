package io.github.qnnsd.worker;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;

/** A loaded graph with the memory of its inputs and outputs. */
final class Component {
    final OpenRequest opened;
    final long loadNanoseconds;
    final Inputs inputs;
    final Outputs outputs;
    private final OrtSession session;
    private final Map<String, OnnxTensor> pinned = new HashMap<String, OnnxTensor>();

    Component(OrtEnvironment environment, OrtSession session, OpenRequest opened, long loadNanoseconds)
            throws OrtException, RequestException {
        this.session = session;
        this.opened = opened;
        this.loadNanoseconds = loadNanoseconds;
        TensorSpec[] inputSpecs = GraphSpecs.inputs(opened.component, session);
        TensorSpec[] outputSpecs = GraphSpecs.outputs(opened.component, session);
        inputs = new Inputs(environment, opened.component, inputSpecs);
        outputs = new Outputs(environment, opened.component, outputSpecs);
    }

    /** Starts a call: nothing is bound yet. */
    void begin() {
        inputs.begin();
        outputs.begin();
    }

    /** Runs the graph; each output goes to the memory of its target. Returns nanoseconds. */
    long run(Map<String, OnnxTensor> feeds, Tensor[] targets) throws RequestException {
        for (int index = 0; index < targets.length; index++) {
            pinned.put(outputs.specs[index].name, targets[index].value);
        }
        long started = System.nanoTime();
        try {
            session.run(feeds, Collections.<String>emptySet(), pinned).close();
        } catch (OrtException error) {
            throw new RequestException(Protocol.RUN_FAILED, opened.component + " failed", ErrorMessage.of(error));
        }
        return System.nanoTime() - started;
    }

    void close() throws OrtException {
        session.close();
        inputs.close();
        outputs.close();
    }
}
