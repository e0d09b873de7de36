package io.github.qnnsd.worker;

/** The message of an exception, or its class where it has none. */
final class ErrorMessage {
    private ErrorMessage() {}

    static String of(Throwable error) {
        String message = error.getMessage();
        return message == null || message.isEmpty() ? error.getClass().getName() : message;
    }
}
