package io.github.qnnsd.worker;

import java.io.Closeable;
import java.io.IOException;
import java.util.Timer;
import java.util.TimerTask;

/** The socket that hosts connect to, one at a time; after LEAVE it listens again for a while. */
final class WorkerSocket implements Closeable {
    private final Platform platform;
    private final String name;
    private final DeadMansSwitch deadMan;
    private final Timer timer = new Timer("time limit", true);
    private Platform.Listener listener;
    private Closing limit;

    WorkerSocket(Platform platform, String name, DeadMansSwitch deadMan) {
        this.platform = platform;
        this.name = name;
        this.deadMan = deadMan;
    }

    /** Listens for the host that started the worker: its stdin says how long it is worth waiting. */
    void open() throws IOException {
        listener = platform.listen(name);
        deadMan.closes(listener);
    }

    /** Listens for another host, which has so many seconds to come. The host that started the worker may go. */
    void openFor(long seconds) throws IOException {
        Platform.Listener next = platform.listen(name);
        deadMan.disarm();
        listener = next;
        limit = new Closing(next);
        timer.schedule(limit, 1000 * seconds);
    }

    boolean isOpen() {
        return listener != null;
    }

    /** The connection of the next host, or null if none came in time. The socket is closed: nobody else can connect. */
    Platform.Link accept() throws IOException {
        Platform.Listener open = listener;
        listener = null;
        try {
            return open.accept();
        } catch (IOException error) {
            if (limit != null && limit.done()) {
                return null;
            }
            throw error;
        } finally {
            if (limit != null) {
                limit.cancel();
            }
            open.close();
        }
    }

    @Override
    public void close() throws IOException {
        timer.cancel();
        if (listener != null) {
            listener.close();
        }
    }

    private static final class Closing extends TimerTask {
        private final Platform.Listener listener;
        private boolean done;

        Closing(Platform.Listener listener) {
            this.listener = listener;
        }

        synchronized boolean done() {
            return done;
        }

        @Override
        public void run() {
            synchronized (this) {
                done = true;
            }
            try {
                listener.close();
            } catch (IOException error) {
                System.err.println("the socket can't be closed: " + ErrorMessage.of(error));
            }
        }
    }
}
