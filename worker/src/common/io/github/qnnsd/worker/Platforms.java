package io.github.qnnsd.worker;

/** Chooses the platform. By name, since neither class can be loaded where the other one belongs. */
final class Platforms {
    private Platforms() {}

    static Platform current() throws ReflectiveOperationException {
        String name = "io.github.qnnsd.worker." + (isAndroid() ? "AndroidPlatform" : "JvmPlatform");
        return (Platform) Class.forName(name).getDeclaredConstructor().newInstance();
    }

    private static boolean isAndroid() {
        try {
            Class.forName("android.os.Build");
            return true;
        } catch (ClassNotFoundException absent) {
            return false;
        }
    }
}
