package io.github.qnnsd.worker;

/** A well-formed request that can't be done: the host gets an error, the worker serves on. */
final class RequestException extends Exception {
    private static final long serialVersionUID = 1L;
    final int code;
    final String why;

    RequestException(int code, String what, String why) {
        super(what);
        this.code = code;
        this.why = why;
    }
}
