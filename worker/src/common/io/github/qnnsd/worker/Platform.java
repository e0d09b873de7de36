package io.github.qnnsd.worker;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** What the worker needs beyond java.* as Android has it; the JVM's twin lets the same worker run on a desk. */
interface Platform {
    /** One connection of the host. */
    interface Link extends Closeable {
        InputStream input() throws IOException;

        OutputStream output() throws IOException;
    }

    /** A socket that waits for the host. */
    interface Listener extends Closeable {
        Link accept() throws IOException;
    }

    /** Listens on the abstract socket of that name. */
    Listener listen(String name) throws IOException;

    /** Where a path of the phone lies. */
    String locate(String path);

    /** The system and its version, for people. */
    String description();

    long processId();
}
