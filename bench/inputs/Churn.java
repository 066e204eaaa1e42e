import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/** Objects for the machine's own heap, and compression and threads for malloc. */
public class Churn {
    public static void main(String[] arguments) throws Exception {
        int turns = Integer.parseInt(arguments[0]);
        long[] sums = new long[4];
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < sums.length; i++) {
            int lane = i;
            Thread thread = new Thread(() -> sums[lane] = work(lane, turns));
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        for (long sum : sums) {
            System.out.println("checksum " + sum);
        }
    }

    static long work(int lane, int turns) {
        long seed = lane + 1;
        long total = 0;
        for (int turn = 0; turn < turns; turn++) {
            TreeMap<String, byte[]> map = new TreeMap<>();
            for (int i = 0; i < 30_000; i++) {
                seed = seed * 6364136223846793005L + 1442695040888963407L;
                int number = (int) (seed >>> 40);
                map.put("key" + number % 9001, new byte[number % 600]);
            }
            for (int i = 0; i < 20; i++) {
                total = total * 31 + pack(map);
            }
        }
        return total;
    }

    static long pack(TreeMap<String, byte[]> map) {
        Deflater deflater = new Deflater(3);
        CRC32 crc = new CRC32();
        byte[] out = new byte[4096];
        int left = 300;
        for (var entry : map.entrySet()) {
            if (left-- == 0) {
                break;
            }
            deflater.setInput(entry.getValue());
            deflater.finish();
            while (!deflater.finished()) {
                crc.update(out, 0, deflater.deflate(out));
            }
            deflater.reset();
        }
        deflater.end();
        return crc.getValue() + map.size();
    }
}
