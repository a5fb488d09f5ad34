#include "common/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

const struct mr_metric_def mr_process_metrics[MR_PROCESS_METRICS] = {
    {"process_cpu_seconds_total", "CPU time of the process, user and system.", MR_COUNTER,
        .decimals = 6},
    {"process_resident_memory_bytes", "Memory it has in RAM.", MR_GAUGE},
    {"process_virtual_memory_bytes", "Address space it has.", MR_GAUGE},
    {"process_open_fds", "File descriptors it has open.", MR_GAUGE},
    {"process_max_fds", "File descriptors it may have open.", MR_GAUGE},
    {"process_start_time_seconds", "When it began, in Unix time.", MR_GAUGE, .decimals = 3},
};

static void set(struct mr_metrics *metrics, unsigned family, int64_t value)
{
    mr_series_set(mr_metrics_at(metrics, family, NULL), value);
}

static int64_t micros(const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000000 + time->tv_usec;
}

/* /proc/self/statm: pages in all, pages in RAM, ... */
static void set_memory(struct mr_metrics *metrics, unsigned resident, unsigned virtual)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
    char *next;
    int64_t page = sysconf(_SC_PAGESIZE), all = strtoll(text, &next, 10);
    set(metrics, virtual, all * page);
    set(metrics, resident, strtoll(next, NULL, 10) * page);
}

static int64_t count_fds(void)
{
    int64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    if (!dir)
        return 0;
    closedir(dir);
    return count - 1; /* the folder's own */
}

void mr_metrics_set_process(struct mr_metrics *metrics, unsigned first, int64_t started_ms)
{
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        set(metrics, first, micros(&usage.ru_utime) + micros(&usage.ru_stime));
    set_memory(metrics, first + 1, first + 2);
    set(metrics, first + 3, count_fds());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        set(metrics, first + 4,
            limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_cur);
    set(metrics, first + 5, started_ms);
}
