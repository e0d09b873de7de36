package io.github.qnnsd.worker;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;

/**
 * A JVM in a phone's place: the abstract socket is a file in {@code $QNN_SD_SOCKETS}, the phone's / is the folder
 * {@code $QNN_SD_ROOT} (without it, this machine's own).
 */
public final class JvmPlatform implements Platform {
    @Override
    public Listener listen(String name) throws IOException {
        String folder = System.getenv("QNN_SD_SOCKETS");
        if (folder == null) {
            throw new IOException("QNN_SD_SOCKETS names no folder for the socket");
        }
        Path path = Paths.get(folder, name);
        ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        channel.bind(UnixDomainSocketAddress.of(path));
        return new FileListener(channel, path);
    }

    @Override
    public String locate(String path) {
        String root = System.getenv("QNN_SD_ROOT");
        return root == null ? path : root + path;
    }

    @Override
    public String description() {
        return "Java " + System.getProperty("java.version");
    }

    @Override
    public long processId() {
        return ProcessHandle.current().pid();
    }

    private record FileListener(ServerSocketChannel channel, Path path) implements Listener {
        @Override
        public Link accept() throws IOException {
            return new ChannelLink(channel.accept());
        }

        /** An abstract socket's name is free again when it is closed; a file's has to be taken away. */
        @Override
        public void close() throws IOException {
            channel.close();
            Files.deleteIfExists(path);
        }
    }

    private record ChannelLink(SocketChannel channel) implements Link {
        @Override
        public InputStream input() {
            return Channels.newInputStream(channel);
        }

        @Override
        public OutputStream output() {
            return Channels.newOutputStream(channel);
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }
}
