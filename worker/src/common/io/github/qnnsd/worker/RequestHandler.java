package io.github.qnnsd.worker;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.Map;

/** Serves one host: reads one request after the other, does it, and replies. */
final class RequestHandler {
    private static final long MAX_WAIT_SECONDS = 24 * 60 * 60;

    private final OrtEnvironment environment;
    private final Platform platform;
    private final String token;
    private final Components components;
    private final WorkerSocket socket;
    private final Slots slots;
    private final Status status;
    private FrameReader request;
    private FrameWriter reply;
    private RunRequests runs;
    private long expectedId = 1;

    RequestHandler(
            OrtEnvironment environment, Platform platform, String token, Components components, WorkerSocket socket) {
        this.environment = environment;
        this.platform = platform;
        this.token = token;
        this.components = components;
        this.socket = socket;
        slots = new Slots(environment);
        status = new Status(platform);
    }

    /** Serves one host until it says BYE, leaves, or hangs up between two frames. What is open stays open. */
    void serve(FrameReader request, FrameWriter reply) throws IOException, ProtocolException {
        this.request = request;
        this.reply = reply;
        runs = new RunRequests(request, reply, components, slots);
        try {
            boolean more = request.next();
            while (more) {
                more = answer() && request.next();
            }
        } catch (ProtocolException error) {
            reply.begin().u16(error.code).string("The request was refused").string(ErrorMessage.of(error));
            reply.send(request.id(), Protocol.ERROR);
            throw error;
        } finally {
            slots.closeAll();
        }
    }

    /** Answers one request; false if it was the last one. */
    private boolean answer() throws IOException, ProtocolException {
        if (request.id() != expectedId) {
            throw new ProtocolException("request " + request.id() + " came where " + expectedId + " was due");
        }
        if ((request.kind() == Protocol.HELLO) != (expectedId == 1)) {
            throw new ProtocolException("HELLO is the first request, and only the first");
        }
        expectedId++;
        reply.begin();
        try {
            return dispatch();
        } catch (RequestException error) {
            fail(error.code, ErrorMessage.of(error), error.why);
        } catch (OrtException error) {
            fail(Protocol.RUN_FAILED, "ONNX Runtime refused", ErrorMessage.of(error));
        } catch (OutOfMemoryError error) {
            fail(Protocol.NO_MEMORY, "The worker has no memory for that", ErrorMessage.of(error));
        }
        return true;
    }

    private void fail(int code, String what, String why) throws IOException, ProtocolException {
        request.skip();
        reply.begin().u16(code).string(what).string(why).send(request.id(), Protocol.ERROR);
    }

    private boolean dispatch() throws IOException, ProtocolException, RequestException, OrtException {
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
                runs.run();
                return true;
            case Protocol.GUIDED:
                runs.guided();
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
                throw new ProtocolException("there is no request of kind " + request.kind());
        }
    }

    private void ok() throws IOException {
        reply.send(request.id(), Protocol.OK);
    }

    private String lastString() throws IOException, ProtocolException {
        String text = request.string();
        request.end();
        return text;
    }

    private void hello() throws IOException, ProtocolException {
        int version = request.u16();
        String given = lastString();
        if (version != Protocol.VERSION) {
            throw new ProtocolException(
                    Protocol.REFUSED_VERSION,
                    "the host speaks protocol " + version + ", this worker protocol " + Protocol.VERSION);
        }
        if (!MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8), token.getBytes(StandardCharsets.UTF_8))) {
            throw new ProtocolException(
                    Protocol.REFUSED_TOKEN, "the token isn't the one that the worker was started with");
        }
        reply.u16(Protocol.VERSION).string(environment.getVersion()).string(platform.description());
        ok();
    }

    /** The socket listens before the host gets its reply: the next host can connect at once. */
    private void leave() throws IOException, ProtocolException {
        long seconds = request.u32();
        request.end();
        if (seconds < 1 || seconds > MAX_WAIT_SECONDS) {
            throw new ProtocolException("a worker can't wait for " + seconds + " seconds");
        }
        socket.openFor(seconds);
        ok();
    }

    private void open() throws IOException, ProtocolException, RequestException, OrtException {
        String name = request.string();
        String file = request.string();
        int unit = request.u8();
        if (unit != Protocol.UNIT_HTP && unit != Protocol.UNIT_CPU) {
            throw new ProtocolException("there is no compute unit " + unit);
        }
        Map<String, String> options = new HashMap<String, String>();
        for (int left = request.u16(); left > 0; left--) {
            String key = request.string();
            options.put(key, request.string());
        }
        request.end();
        OpenRequest wanted = new OpenRequest(name, file, unit, options);
        boolean before = components.has(wanted);
        if (!before) {
            components.load(wanted);
        }
        Component component = components.get(name);
        reply.u8(before ? 0 : 1).u64(component.loadNanoseconds);
        describe(component.inputs.specs);
        describe(component.outputs.specs);
        ok();
    }

    private void describe(TensorSpec[] specs) {
        reply.u16(specs.length);
        for (TensorSpec spec : specs) {
            reply.string(spec.name).shape(spec);
        }
    }

    private void put() throws IOException, ProtocolException, OrtException {
        String name = request.string();
        TensorSpec spec = request.tensorHead(name);
        request.tensorData(slots.prepare(name, spec).bytes());
        request.end();
        ok();
    }
}
