import java.util.Arrays;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryNTimes;

/** A contender by Curator's InterProcessMutex: wait for it, run a command while it is held, release. */
public class Peer {
    /** HOSTS PATH SESSION_MILLIS COMMAND... */
    public static void main(String[] args) throws Exception {
        int session = Integer.parseInt(args[2]);
        try (CuratorFramework zk = CuratorFrameworkFactory.newClient(args[0], session, session, new RetryNTimes(5, 200))) {
            zk.start();
            InterProcessMutex mutex = new InterProcessMutex(zk, args[1]);
            mutex.acquire();
            String own = mutex.getParticipantNodes().iterator().next(); // the first one holds
            ProcessBuilder command = new ProcessBuilder(Arrays.asList(args).subList(3, args.length)).inheritIO();
            command.environment().put("INTERLOCK_TOKEN", Long.toString(zk.checkExists().forPath(own).getCzxid()));
            command.start().waitFor();
            mutex.release();
        }
    }
}
