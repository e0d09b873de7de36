package io.github.qnnsd.worker;

import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Memory, heat and battery, as far as the kernel lets this process read them. */
final class Status {
    private static final String ZONES = "/sys/class/thermal";
    private static final String BATTERY = "/sys/class/power_supply/battery";
    private static final int MAX_ZONES = 64;

    private final Platform platform;

    Status(Platform platform) {
        this.platform = platform;
    }

    void write(FrameWriter reply) {
        reply.u64(memory("VmRSS:")).u64(memory("VmHWM:"));
        writeZones(reply);
        writeBattery(reply);
    }

    /** Bytes, from proc(5)'s status, which counts in units of 1024; 0 where it can't be read. */
    private static long memory(String key) {
        try (BufferedReader lines = open("/proc/self/status")) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (line.startsWith(key)) {
                    return Long.parseLong(line.substring(key.length()).replace("kB", "").trim()) << 10;
                }
            }
        } catch (IOException | NumberFormatException unreadable) {
            return 0;
        }
        return 0;
    }

    /** The kernel's thermal zones, in millidegrees Celsius (sysfs-api of the thermal framework). */
    private void writeZones(FrameWriter reply) {
        List<String> names = new ArrayList<String>();
        List<Float> degrees = new ArrayList<Float>();
        File[] zones = new File(platform.locate(ZONES)).listFiles();
        if (zones != null) {
            Arrays.sort(zones);
            for (File zone : zones) {
                String name = line(new File(zone, "type"));
                Float value = number(new File(zone, "temp"));
                if (name != null && value != null && names.size() < MAX_ZONES) {
                    names.add(name);
                    degrees.add(value / 1000f);
                }
            }
        }
        reply.u16(names.size());
        for (int index = 0; index < names.size(); index++) {
            reply.string(names.get(index)).f32(degrees.get(index));
        }
    }

    /** The battery's level in percent and its temperature, which the kernel counts in tenths of a degree Celsius. */
    private void writeBattery(FrameWriter reply) {
        File battery = new File(platform.locate(BATTERY));
        Float level = number(new File(battery, "capacity"));
        Float temperature = number(new File(battery, "temp"));
        if (level == null || temperature == null) {
            reply.u8(0);
        } else {
            reply.u8(1).f32(level).f32(temperature / 10f);
        }
    }

    private static Float number(File file) {
        String text = line(file);
        try {
            return text == null ? null : Float.valueOf(text);
        } catch (NumberFormatException error) {
            return null;
        }
    }

    private static String line(File file) {
        try (BufferedReader lines = open(file.getPath())) {
            String text = lines.readLine();
            return text == null ? null : text.trim();
        } catch (IOException unreadable) {
            return null;
        }
    }

    private static BufferedReader open(String path) throws IOException {
        return new BufferedReader(new InputStreamReader(new FileInputStream(path), "UTF-8"));
    }
}
