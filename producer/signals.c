#include "producer/signals.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int mr_signals_open(struct mr_signals *ret, struct mr_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    struct mr_signals signals = {.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (signals.fd < 0 || sigprocmask(SIG_BLOCK, &set, &signals.before) < 0)
        return mr_err_set(err, -errno, MR_CLASS_INTERNAL, "signalfd: %s", strerror(errno));
    *ret = signals;
    return 0;
}

bool mr_signals_hit(struct mr_signals *signals)
{
    struct signalfd_siginfo info;
    if (signals->hit)
        return true;
    if (read(signals->fd, &info, sizeof(info)) != sizeof(info))
        return false;
    signals->hit = true;
    sigprocmask(SIG_SETMASK, &signals->before, NULL);
    return true;
}

void mr_signals_wait(struct mr_signals *signals, int fd, int other_fd, int timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = signals->hit ? -1 : signals->fd, .events = POLLIN},
        {.fd = fd, .events = POLLIN},
        {.fd = other_fd, .events = POLLIN},
    };
    (void)poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms);
}

void mr_signals_close(struct mr_signals *signals)
{
    sigprocmask(SIG_SETMASK, &signals->before, NULL);
    close(signals->fd);
}
