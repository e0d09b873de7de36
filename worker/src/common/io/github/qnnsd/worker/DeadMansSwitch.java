package io.github.qnnsd.worker;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;

/** Ends the worker when stdin ends, whatever it is doing: the host's adb shell has gone. */
final class DeadMansSwitch extends Thread {
    /** A run on the HTP takes a fraction of this; what takes longer is cut off. */
    private static final long GRACE_MILLISECONDS = 5000;

    private final InputStream stream;
    private final Thread worker;
    private Closeable waiting;
    private boolean released;
    private boolean armed = true;

    DeadMansSwitch(InputStream stream, Thread worker) {
        super("dead man's switch");
        setDaemon(true);
        this.stream = stream;
        this.worker = worker;
    }

    /** What the worker waits on from now on; closing it wakes the worker. */
    synchronized void closes(Closeable waiting) throws IOException {
        this.waiting = waiting;
        if (released) {
            waiting.close();
        }
    }

    /** From now on stdin's end means nothing. */
    synchronized void disarm() throws IOException {
        if (released) {
            throw new IOException("stdin has ended");
        }
        armed = false;
    }

    synchronized boolean released() {
        return released;
    }

    @Override
    public void run() {
        awaitEnd();
        if (!release()) {
            return;
        }
        try {
            worker.join(GRACE_MILLISECONDS);
        } catch (InterruptedException unexpected) {
            Thread.currentThread().interrupt();
        }
        Runtime.getRuntime().halt(0);
    }

    private void awaitEnd() {
        try {
            while (stream.read() >= 0) {
                // What the host says here after the token means nothing; only its end does.
                continue;
            }
        } catch (IOException broken) {
            System.err.println("stdin is broken: " + ErrorMessage.of(broken));
        }
    }

    private synchronized boolean release() {
        if (!armed) {
            return false;
        }
        released = true;
        try {
            waiting.close();
        } catch (IOException error) {
            System.err.println("the connection can't be closed: " + ErrorMessage.of(error));
        }
        return true;
    }
}
