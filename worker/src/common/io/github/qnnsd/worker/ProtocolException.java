package io.github.qnnsd.worker;

/** The host broke the protocol: it gets an error, the connection is closed, the worker ends. */
final class ProtocolException extends Exception {
    private static final long serialVersionUID = 1L;
    final int code;

    ProtocolException(int code, String why) {
        super(why);
        this.code = code;
    }

    ProtocolException(String why) {
        this(Protocol.REFUSED_FRAME, why);
    }
}
