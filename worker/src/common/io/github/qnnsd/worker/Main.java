package io.github.qnnsd.worker;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtLoggingLevel;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;

/**
 * Waits for the host on an abstract socket and serves it until it goes.
 *
 * <p>Arguments: the protocol's version, the socket's name. The first line of stdin is the token; stdin's end is the
 * end of the worker, whatever it is doing, unless the host has left it to another one.
 */
public final class Main {
    private static final int EXIT_USAGE = 64;
    private static final int EXIT_FAILED = 70;
    private static final int EXIT_REFUSED = 76;
    private static final int TOKEN_LENGTH = 64;
    private static final int BUFFER_BYTES = 1 << 16;

    private Main() {}

    public static void main(String[] arguments) {
        DeadMansSwitch deadMan = new DeadMansSwitch(System.in, Thread.currentThread());
        int code;
        try {
            code = run(arguments, deadMan);
        } catch (ProtocolException error) {
            System.err.println("refused: " + ErrorMessage.of(error));
            code = EXIT_REFUSED;
        } catch (Throwable error) {
            // The host's end closes what the worker waits on: that is no failure.
            code = deadMan.released() ? 0 : EXIT_FAILED;
            if (code != 0) {
                System.err.println("failed: " + error);
            }
        }
        System.exit(code);
    }

    private static int run(String[] arguments, DeadMansSwitch deadMan) throws Exception {
        if (arguments.length != 2) {
            System.err.println("usage: Main <protocol version> <socket name>");
            return EXIT_USAGE;
        }
        if (!arguments[0].equals(Integer.toString(Protocol.VERSION))) {
            System.err.println("this worker speaks protocol " + Protocol.VERSION + ", not " + arguments[0]);
            return EXIT_REFUSED;
        }
        String token = readToken(System.in);
        if (token.length() != TOKEN_LENGTH) {
            System.err.println("the first line of stdin isn't a token");
            return EXIT_USAGE;
        }
        Platform platform = Platforms.current();
        OrtEnvironment environment = OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "qnn-sd");
        Components components = new Components(environment, new SessionFactory(environment, platform));
        try (WorkerSocket socket = new WorkerSocket(platform, arguments[1], deadMan)) {
            socket.open();
            deadMan.start();
            System.out.println("ready " + Protocol.VERSION + " " + platform.processId());
            System.out.flush();
            while (socket.isOpen()) {
                serve(socket, new RequestHandler(environment, platform, token, components, socket), deadMan);
            }
        } finally {
            components.closeAll();
        }
        return 0;
    }

    /** Serves the next host, unless none comes in time. */
    private static void serve(WorkerSocket socket, RequestHandler requests, DeadMansSwitch deadMan) throws Exception {
        try (Platform.Link link = socket.accept()) {
            if (link != null) {
                deadMan.closes(link);
                InputStream input = new BufferedInputStream(link.input(), BUFFER_BYTES);
                requests.serve(new FrameReader(input), new FrameWriter(link.output()));
            }
        }
    }

    /** Byte by byte: what follows the line is the dead-man's switch's to wait for. */
    private static String readToken(InputStream stream) throws IOException {
        StringBuilder token = new StringBuilder();
        int next = stream.read();
        while (next >= 0 && next != '\n' && token.length() <= TOKEN_LENGTH) {
            token.append((char) next);
            next = stream.read();
        }
        return token.toString();
    }
}
