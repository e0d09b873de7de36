package io.github.qnnsd.worker;

import android.net.LocalServerSocket;
import android.net.LocalSocket;
import android.os.Build;
import android.os.Process;
import android.system.ErrnoException;
import android.system.Os;
import android.system.OsConstants;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** The phone itself, API 27 and up. */
public final class AndroidPlatform implements Platform {
    @Override
    public Listener listen(String name) throws IOException {
        return new AbstractListener(new LocalServerSocket(name));
    }

    @Override
    public String locate(String path) {
        return path;
    }

    @Override
    public String description() {
        return Build.MODEL + ", Android " + Build.VERSION.RELEASE + ", API " + Build.VERSION.SDK_INT;
    }

    @Override
    public long processId() {
        return Process.myPid();
    }

    /** Closing a descriptor doesn't wake who waits on it; shutting the socket down does. */
    private static void wake(FileDescriptor descriptor) {
        if (descriptor == null || !descriptor.valid()) {
            return;
        }
        try {
            Os.shutdown(descriptor, OsConstants.SHUT_RDWR);
        } catch (ErrnoException hungUpAlready) {
            System.err.println("shutdown: " + ErrorMessage.of(hungUpAlready));
        }
    }

    private static final class AbstractListener implements Listener {
        private final LocalServerSocket socket;
        private boolean closed;

        AbstractListener(LocalServerSocket socket) {
            this.socket = socket;
        }

        @Override
        public Link accept() throws IOException {
            return new AbstractLink(socket.accept());
        }

        @Override
        public synchronized void close() throws IOException {
            if (!closed) {
                closed = true;
                wake(socket.getFileDescriptor());
                socket.close();
            }
        }
    }

    private static final class AbstractLink implements Link {
        private final LocalSocket socket;
        private boolean closed;

        AbstractLink(LocalSocket socket) {
            this.socket = socket;
        }

        @Override
        public InputStream input() throws IOException {
            return socket.getInputStream();
        }

        @Override
        public OutputStream output() throws IOException {
            return socket.getOutputStream();
        }

        @Override
        public synchronized void close() throws IOException {
            if (!closed) {
                closed = true;
                wake(socket.getFileDescriptor());
                socket.close();
            }
        }
    }
}
