package io.github.qnnsd.worker;

import ai.onnxruntime.OrtException;
import java.io.IOException;

/** The requests that run a component: RUN and GUIDED. */
final class RunRequests {
    private final FrameReader request;
    private final FrameWriter reply;
    private final Components components;
    private final Slots slots;
    private final Guidance guidance = new Guidance();

    RunRequests(FrameReader request, FrameWriter reply, Components components, Slots slots) {
        this.request = request;
        this.reply = reply;
        this.components = components;
        this.slots = slots;
    }

    void run() throws IOException, ProtocolException, RequestException, OrtException {
        Component component = readComponent();
        for (int left = request.count(); left > 0; left--) {
            String name = request.string();
            component.outputs.keep(name, request.string());
        }
        request.end();
        component.inputs.checkComplete();
        Tensor[] targets = component.outputs.targets(slots, component.inputs);
        reply.u64(component.run(component.inputs.feeds(), targets));
        reply.send(request.id(), Protocol.OK, component.outputs.returned());
    }

    void guided() throws IOException, ProtocolException, RequestException, OrtException {
        Component component = readComponent();
        int passes = request.u8();
        if (passes < 1 || passes > Protocol.MAX_PASSES) {
            throw new ProtocolException("guidance has one or two passes, not " + passes);
        }
        for (int left = request.count(); left > 0; left--) {
            int index = component.inputs.claim(request.string());
            for (int pass = 0; pass < passes; pass++) {
                component.inputs.bindInPass(pass, index, slots.get(request.string()));
            }
        }
        float scale = request.f32();
        request.end();
        component.inputs.checkComplete();
        Tensor[] results = component.outputs.results();
        Tensor[] others = passes == 2 ? component.outputs.secondResults() : null;
        reply.u8(passes).u64(component.run(component.inputs.feeds(0), results));
        long combining = 0;
        if (others != null) {
            reply.u64(component.run(component.inputs.feeds(1), others));
            combining = guidance.combine(results, others, scale);
        }
        reply.u64(combining).send(request.id(), Protocol.OK, results);
    }

    /** Begins a call of the named component, with the inputs that are the same in all passes. */
    private Component readComponent() throws IOException, ProtocolException, RequestException {
        Component component = components.get(request.string());
        component.begin();
        for (int left = request.count(); left > 0; left--) {
            readInput(component.inputs);
        }
        return component;
    }

    private void readInput(Inputs inputs) throws IOException, ProtocolException, RequestException {
        int index = inputs.claim(request.string());
        int source = request.u8();
        if (source == Protocol.FROM_SLOT) {
            inputs.bind(index, slots.get(request.string()));
        } else if (source == Protocol.FROM_FRAME) {
            TensorSpec value = request.tensorHead(inputs.specs[index].name);
            request.tensorData(inputs.own(index, value).bytes());
        } else {
            throw new ProtocolException("there is no source " + source + " of an input");
        }
    }
}
