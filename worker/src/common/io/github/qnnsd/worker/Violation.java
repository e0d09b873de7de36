package io.github.qnnsd.worker;

/** The host broke the protocol: it is told, the connection is closed, the worker ends. */
final class Violation extends Exception {
    private static final long serialVersionUID = 1L;
    final int code;

    Violation(int code, String why) {
        super(why);
        this.code = code;
    }

    Violation(String why) {
        this(Protocol.REFUSED_FRAME, why);
    }
}
