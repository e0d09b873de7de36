package io.github.qnnsd.worker;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.Map;

/** Reads one request after the other, does it, and answers. */
final class Requests {
    private static final long MAX_WAIT_SECONDS = 24 * 60 * 60;

    private final OrtEnvironment environment;
    private final Platform platform;
    private final String token;
    private final Components components;
    private final Doorway doorway;
    private final Slots slots;
    private final Status status;
    private FrameReader request;
    private FrameWriter reply;
    private long expectedId = 1;

    Requests(
            OrtEnvironment environment, Platform platform, String token, Components components, Doorway doorway) {
        this.environment = environment;
        this.platform = platform;
        this.token = token;
        this.components = components;
        this.doorway = doorway;
        slots = new Slots(environment);
        status = new Status(platform);
    }

    /** Serves one host until it says BYE, leaves, or hangs up between two frames. What is open stays open. */
    void serve(FrameReader request, FrameWriter reply) throws IOException, Violation {
        this.request = request;
        this.reply = reply;
        try {
            boolean more = request.next();
            while (more) {
                more = answer() && request.next();
            }
        } catch (Violation violation) {
            reply.begin().u16(violation.code).string("The request was refused").string(Text.of(violation));
            reply.send(request.id(), Protocol.ERROR);
            throw violation;
        } finally {
            slots.closeAll();
        }
    }

    /** Answers one request; false if it was the last one. */
    private boolean answer() throws IOException, Violation {
        if (request.id() != expectedId) {
            throw new Violation("request " + request.id() + " came where " + expectedId + " was due");
        }
        if ((request.kind() == Protocol.HELLO) != (expectedId == 1)) {
            throw new Violation("HELLO is the first request, and only the first");
        }
        expectedId++;
        reply.begin();
        try {
            return dispatch();
        } catch (Refusal refusal) {
            fail(refusal.code, Text.of(refusal), refusal.why);
        } catch (OrtException error) {
            fail(Protocol.RUN_FAILED, "ONNX Runtime refused", Text.of(error));
        } catch (OutOfMemoryError error) {
            fail(Protocol.NO_MEMORY, "The worker has no memory for that", Text.of(error));
        }
        return true;
    }

    private void fail(int code, String what, String why) throws IOException, Violation {
        request.skip();
        reply.begin().u16(code).string(what).string(why).send(request.id(), Protocol.ERROR);
    }

    private boolean dispatch() throws IOException, Violation, Refusal, OrtException {
        switch (request.kind()) {
            case Protocol.HELLO:
                hello();
                return true;
            case Protocol.OPEN:
                open();
                return true;
            case Protocol.PUT:
                put();
                return true;
            case Protocol.RUN:
                run();
                return true;
            case Protocol.GUIDED:
                guided();
                return true;
            case Protocol.CLOSE:
                components.close(lastString());
                ok();
                return true;
            case Protocol.DROP:
                slots.drop(lastString());
                ok();
                return true;
            case Protocol.STATUS:
                request.end();
                status.write(reply);
                ok();
                return true;
            case Protocol.LEAVE:
                leave();
                return false;
            case Protocol.BYE:
                request.end();
                ok();
                return false;
            default:
                throw new Violation("there is no request of kind " + request.kind());
        }
    }

    private void ok() throws IOException {
        reply.send(request.id(), Protocol.OK);
    }

    private String lastString() throws IOException, Violation {
        String text = request.string();
        request.end();
        return text;
    }

    private void hello() throws IOException, Violation {
        int version = request.u16();
        String given = lastString();
        if (version != Protocol.VERSION) {
            throw new Violation(
                    Protocol.REFUSED_VERSION,
                    "the host speaks protocol " + version + ", the worker " + Protocol.VERSION);
        }
        if (!MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8), token.getBytes(StandardCharsets.UTF_8))) {
            throw new Violation(Protocol.REFUSED_TOKEN, "the token isn't the one that the worker was started with");
        }
        reply.u16(Protocol.VERSION).string(environment.getVersion()).string(platform.description());
        ok();
    }

    /** The door is open before the host knows of it: who comes next finds it so. */
    private void leave() throws IOException, Violation {
        long seconds = request.u32();
        request.end();
        if (seconds < 1 || seconds > MAX_WAIT_SECONDS) {
            throw new Violation("a worker can't wait for " + seconds + " seconds");
        }
        doorway.openFor(seconds);
        ok();
    }

    private void open() throws IOException, Violation, Refusal, OrtException {
        String name = request.string();
        String file = request.string();
        int place = request.u8();
        if (place != Protocol.PLACE_HTP && place != Protocol.PLACE_CPU) {
            throw new Violation("there is no place " + place);
        }
        Map<String, String> options = new HashMap<String, String>();
        for (int left = request.u16(); left > 0; left--) {
            String key = request.string();
            options.put(key, request.string());
        }
        request.end();
        Opening opening = new Opening(name, file, place, options);
        boolean before = components.has(opening);
        if (!before) {
            components.load(opening);
        }
        Component component = components.get(name);
        reply.u8(before ? 0 : 1).u64(component.loadNanoseconds).u16(component.inputs.length);
        for (Port port : component.inputs) {
            reply.string(port.name).shape(port);
        }
        reply.string(component.output.name).shape(component.output);
        ok();
    }

    private void put() throws IOException, Violation, OrtException {
        String name = request.string();
        Port port = request.tensorHead(name);
        request.tensorData(slots.prepare(name, port).bytes());
        request.end();
        ok();
    }

    private void run() throws IOException, Violation, Refusal, OrtException {
        Component component = components.get(request.string());
        component.begin();
        readInputs(component);
        String slot = request.string();
        request.end();
        component.checkComplete();
        if (slot.isEmpty()) {
            reply.u64(component.run(component.result())).u8(1);
            reply.send(request.id(), Protocol.OK, component.result());
            return;
        }
        if (slots.has(slot) && component.feedsFrom(slots.get(slot))) {
            throw new Refusal(
                    Protocol.BAD_INPUT, "Slot " + slot + " is input and output", "A run can't read what it writes.");
        }
        reply.u64(component.run(slots.prepare(slot, component.output))).u8(0);
        ok();
    }

    private void guided() throws IOException, Violation, Refusal, OrtException {
        Component component = components.get(request.string());
        component.begin();
        readInputs(component);
        int index = component.claim(request.string());
        int passes = request.u8();
        if (passes != 1 && passes != 2) {
            throw new Violation("guidance has one or two passes, not " + passes);
        }
        Tensor base = slots.get(request.string());
        Tensor other = passes == 2 ? slots.get(request.string()) : null;
        float guidance = request.f32();
        request.end();
        component.checkComplete();
        if (other != null && component.output.dtype != DType.FLOAT32) {
            throw new Refusal(Protocol.BAD_INPUT, "Guidance needs a float32 output", component.output.describe());
        }
        component.bind(index, base);
        reply.u8(passes).u64(component.run(component.result()));
        long combining = 0;
        if (other != null) {
            component.bind(index, other);
            reply.u64(component.run(component.guidedResult()));
            combining = component.combine(guidance);
        }
        reply.u64(combining).send(request.id(), Protocol.OK, component.result());
    }

    private void readInputs(Component component) throws IOException, Violation, Refusal {
        for (int left = request.u16(); left > 0; left--) {
            int index = component.claim(request.string());
            int source = request.u8();
            if (source == Protocol.FROM_SLOT) {
                component.bind(index, slots.get(request.string()));
            } else if (source == Protocol.FROM_FRAME) {
                Port given = request.tensorHead(component.inputs[index].name);
                request.tensorData(component.own(index, given).bytes());
            } else {
                throw new Violation("there is no source " + source + " of an input");
            }
        }
    }
}
