/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults - calls of a running program fail when a test says so (LD_PRELOAD).
 *
 *     test ---- writes rules ----> page, $FAULTS, mapped by both <---- a load for each call ---- program
 *     test <--- reads lines of --- $FAULTS.events <--- a line for each rule that takes effect ---'
 *                                  $FAULTS.data   <--- what traced writes wrote
 *
 * A rule is a line of the page:
 *
 *     <id> <call> <match> <what> after=<n> times=<n> hold=<ms> least=<bytes>
 *
 *     call   pwrite write fsync fdatasync syncfs rename link unlink create ftruncate mkdir flock
 *     match  a part of the path, the end of it if the match ends in $, or * for each; of two paths the second
 *     what   fail:<errno>           the call is not made
 *            late:<errno>           it is made, and said to have failed
 *            short:<bytes>:<errno>  a write of so many of its bytes; what would have written the rest fails
 *            grant                  the call is not made, and said to have been
 *            wait                   made, after the hold
 *            trace                  made, and told; the rules below it count too
 *     after  so many calls pass first
 *     times  that it takes effect; 0: always
 *     hold   the caller waits so long before it, or until the rule has left the page
 *     least  writes of fewer bytes are no match
 *
 * An event is "<id> <moment> <call> <inode> <offset> <result> <data> <path>"; moments are hold, fail, short,
 * made; data is where in $FAULTS.data the bytes of a traced write lie, or -1. The offset of a create is the
 * size that the file has.
 *
 * The page also says how far the clocks lag behind, as those of a machine that was paused do: one number for
 * the clocks that count from the boot, one for the wall clock. A thread that waits for a moment of such a
 * clock is not told: nothing that is tested with this waits so.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE_SIZE  65536u
#define RULES_MAX  64u
#define MATCH_SIZE 256u
#define HOLD_STEP  1000000L /* ns between looks at the page */

#define CALLS(CALL)                                                                                          \
	CALL(pwrite)                                                                                         \
	CALL(write)                                                                                          \
	CALL(fsync)                                                                                          \
	CALL(fdatasync)                                                                                      \
	CALL(syncfs)                                                                                         \
	CALL(rename)                                                                                         \
	CALL(link) CALL(unlink) CALL(create) CALL(ftruncate) CALL(mkdir) CALL(flock)

#define CALL_ID(name) CALL_##name,
enum call { CALLS(CALL_ID) CALLS_LEN };

#define CALL_NAME(name) #name,
static const char *const call_names[] = { CALLS(CALL_NAME) };

enum what { WHAT_NONE, WHAT_FAIL, WHAT_LATE, WHAT_SHORT, WHAT_GRANT, WHAT_WAIT, WHAT_TRACE };

struct rule {
	unsigned id;
	enum call call;
	char match[MATCH_SIZE];
	enum what what;
	int error;
	size_t bytes, least;
	unsigned after, times, hold_ms;
	unsigned matched, done;
};

struct page {
	_Atomic uint64_t version; /* odd while it is written */
	_Atomic int64_t lag_us[2];
	char rules[PAGE_SIZE - 24];
};

/* What the rules say to one call. */
struct verdict {
	struct rule rule; /* a copy; what is WHAT_NONE if there is none */
	unsigned trace;   /* id of a rule that wants to know; 0: none */
	enum call call;
	int fd; /* -1: the path says which file */
	const char *path;
	int64_t offset, data;
	size_t len;
	const void *bytes;
};

/* The rest of a short write, in the thread that made it. */
struct rest {
	bool is_due;
	struct rule rule;
	int fd;
	off_t at; /* -1: wherever */
};

static struct page *page;
static int events = -1, data = -1;
static _Atomic int64_t data_len;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX];
static unsigned rules_len;
static _Atomic uint64_t seen_version;
static _Atomic unsigned wanted; /* a bit for each call that some rule names */
static __thread struct rest rest;

#define REAL(name) real_of(#name)

static void *real_of(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

/* The function behind ours, looked up once. */
#define BEHIND(type, name, ...)                                                                              \
	static type (*_Atomic real)(__VA_ARGS__);                                                            \
	if (!real)                                                                                           \
	real = (type(*)(__VA_ARGS__))REAL(name)

/* ---- the page ---- */

static void open_page(void)
{
	const char *path = getenv("FAULTS");
	char name[4096];
	void *at;
	int fd;

	if (!path)
		return;
	(void)snprintf(name, sizeof(name), "%s.events", path);
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	events = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	(void)snprintf(name, sizeof(name), "%s.data", path);
	data = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	data_len = lseek(data, 0, SEEK_END);
	at = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED || events < 0 || data < 0) {
		(void)fprintf(stderr, "faults: %s cannot be used\n", path);
		abort();
	}
	(void)close(fd);
	page = at;
}

static bool parse_what(const char *text, struct rule *rule)
{
	rule->bytes = 0;
	rule->error = 0;
	if (!strcmp(text, "grant"))
		rule->what = WHAT_GRANT;
	else if (!strcmp(text, "wait"))
		rule->what = WHAT_WAIT;
	else if (!strcmp(text, "trace"))
		rule->what = WHAT_TRACE;
	else if (sscanf(text, "fail:%d", &rule->error) == 1)
		rule->what = WHAT_FAIL;
	else if (sscanf(text, "late:%d", &rule->error) == 1)
		rule->what = WHAT_LATE;
	else if (sscanf(text, "short:%zu:%d", &rule->bytes, &rule->error) == 2)
		rule->what = WHAT_SHORT;
	else
		return false;
	return true;
}

static bool parse_rule(const char *line, struct rule *rule)
{
	char call[32], what[64];
	unsigned i = 0;

	*rule = (struct rule){ 0 };
	if (sscanf(line, "%u %31s %255s %63s after=%u times=%u hold=%u least=%zu", &rule->id, call,
		    rule->match, what, &rule->after, &rule->times, &rule->hold_ms, &rule->least) != 8)
		return false;
	while (i < CALLS_LEN && strcmp(call, call_names[i]) != 0)
		i++;
	rule->call = (enum call)i;
	return i < CALLS_LEN && parse_what(what, rule);
}

/* What has been counted for a rule that stays is kept. */
static void add_rule(struct rule *into, unsigned *len, const char *line)
{
	struct rule *rule = &into[*len];

	if (!*line || *len == RULES_MAX)
		return;
	if (!parse_rule(line, rule)) {
		(void)fprintf(stderr, "faults: not a rule: %s\n", line);
		abort();
	}
	for (unsigned i = 0; i < rules_len; i++)
		if (rules[i].id == rule->id) {
			rule->matched = rules[i].matched;
			rule->done = rules[i].done;
		}
	(*len)++;
}

/* The text as it was at one moment. */
static uint64_t copy_text(char *text)
{
	uint64_t version;

	do {
		version = atomic_load(&page->version);
		memcpy(text, page->rules, sizeof(page->rules));
		text[sizeof(page->rules) - 1] = '\0';
	} while (version % 2 || version != atomic_load(&page->version));
	return version;
}

static void read_rules_locked(void)
{
	static char text[PAGE_SIZE];
	static struct rule fresh[RULES_MAX];
	uint64_t version = copy_text(text);
	unsigned len = 0, bits = 0;
	char *state = NULL;

	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		add_rule(fresh, &len, line);
	memcpy(rules, fresh, sizeof(rules));
	rules_len = len;
	for (unsigned i = 0; i < len; i++)
		bits |= 1u << rules[i].call;
	atomic_store(&wanted, bits);
	atomic_store(&seen_version, version);
}

static bool is_wanted(enum call call)
{
	(void)pthread_once(&once, open_page);
	if (!page)
		return false;
	if (atomic_load(&page->version) != atomic_load(&seen_version)) {
		(void)pthread_mutex_lock(&mutex);
		read_rules_locked();
		(void)pthread_mutex_unlock(&mutex);
	}
	return atomic_load(&wanted) >> call & 1;
}

/* ---- one call ---- */

static bool is_match(const char *match, const char *path)
{
	size_t len = strlen(match), path_len = strlen(path);

	if (!strcmp(match, "*"))
		return true;
	if (match[len - 1] != '$')
		return strstr(path, match) != NULL;
	len--;
	return path_len >= len && !memcmp(path + path_len - len, match, len);
}

static void choose_locked(struct verdict *verdict)
{
	for (unsigned i = 0; i < rules_len && verdict->rule.what == WHAT_NONE; i++) {
		struct rule *rule = &rules[i];

		if (rule->call != verdict->call || verdict->len < rule->least ||
			!is_match(rule->match, verdict->path))
			continue;
		if (rule->matched++ < rule->after || (rule->times && rule->done >= rule->times))
			continue;
		rule->done++;
		if (rule->what == WHAT_TRACE)
			verdict->trace = rule->id;
		else
			verdict->rule = *rule;
	}
}

static bool is_gone(unsigned id)
{
	bool gone = true;

	(void)is_wanted(CALL_pwrite); /* reads the page if it has changed */
	(void)pthread_mutex_lock(&mutex);
	for (unsigned i = 0; i < rules_len; i++)
		gone = gone && rules[i].id != id;
	(void)pthread_mutex_unlock(&mutex);
	return gone;
}

/* One write for each line: lines of several threads do not mix. */
static void tell(const struct verdict *verdict, unsigned id, const char *moment, long result)
{
	int saved = errno;
	struct stat st = { 0 };
	char line[4608];
	int len;

	if (verdict->fd >= 0)
		(void)fstat(verdict->fd, &st);
	else
		(void)lstat(verdict->path, &st);
	len = snprintf(line, sizeof(line), "%u %s %s %llu %lld %ld %lld %s\n", id, moment,
		call_names[verdict->call], (unsigned long long)st.st_ino,
		(long long)(verdict->call == CALL_create ? st.st_size : verdict->offset), result,
		(long long)verdict->data, verdict->path);
	(void)syscall(SYS_write, events, line, (size_t)len);
	errno = saved;
}

static void hold(const struct verdict *verdict)
{
	const struct timespec step = { .tv_nsec = HOLD_STEP };

	if (!verdict->rule.hold_ms)
		return;
	tell(verdict, verdict->rule.id, "hold", 0);
	for (unsigned ms = 0; ms < verdict->rule.hold_ms && !is_gone(verdict->rule.id); ms++)
		(void)nanosleep(&step, NULL);
}

static bool is_judged(struct verdict *verdict)
{
	(void)pthread_mutex_lock(&mutex);
	choose_locked(verdict);
	(void)pthread_mutex_unlock(&mutex);
	if (verdict->rule.what != WHAT_SHORT)
		hold(verdict);
	return verdict->rule.what != WHAT_NONE || verdict->trace;
}

static bool is_made(const struct verdict *verdict)
{
	return verdict->rule.what != WHAT_FAIL && verdict->rule.what != WHAT_GRANT;
}

static void trace(struct verdict *verdict, const char *moment, long result)
{
	if (!verdict->trace)
		return;
	if (verdict->bytes && result > 0) {
		verdict->data = atomic_fetch_add(&data_len, result);
		(void)syscall(SYS_pwrite64, data, verdict->bytes, (size_t)result, verdict->data);
	}
	tell(verdict, verdict->trace, moment, result);
}

static long finish(struct verdict *verdict, long result)
{
	bool fails = verdict->rule.what == WHAT_FAIL || verdict->rule.what == WHAT_LATE;

	if (is_made(verdict))
		trace(verdict, "made", result);
	if (verdict->rule.what == WHAT_GRANT)
		result = 0;
	if (fails)
		result = -1;
	if (verdict->rule.what != WHAT_NONE)
		tell(verdict, verdict->rule.id, fails ? "fail" : "made", result);
	if (fails)
		errno = verdict->rule.error;
	return result;
}

static const char *path_of(int fd, char path[4096])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, 4095);
	path[n < 0 ? 0 : n] = '\0';
	return path;
}

static const char *path_at(int fd, const char *name, char path[4096])
{
	size_t len;

	if (fd == AT_FDCWD || *name == '/')
		return name;
	len = strlen(path_of(fd, path));
	(void)snprintf(path + len, 4096 - len, "/%s", name);
	return path;
}

/* The real call, under the rules for it. */
#define JUDGED(really, id, judged_fd, judged_path)                                                           \
	({                                                                                                   \
		struct verdict verdict = { .call = id, .fd = judged_fd, .data = -1 };                        \
		char text[4096];                                                                             \
		long result = -1;                                                                            \
                                                                                                             \
		(void)text;                                                                                  \
		if (!is_wanted(id)) {                                                                        \
			result = (really);                                                                   \
		} else {                                                                                     \
			verdict.path = (judged_path);                                                        \
			if (!is_judged(&verdict)) {                                                          \
				result = (really);                                                           \
			} else {                                                                             \
				if (is_made(&verdict))                                                       \
					result = (really);                                                   \
				result = finish(&verdict, result);                                           \
			}                                                                                    \
		}                                                                                            \
		result;                                                                                      \
	})

/* ---- writing ---- */

static bool is_rest(int fd, off_t at)
{
	bool is = rest.is_due && rest.fd == fd && (rest.at < 0 || rest.at == at);

	rest.is_due = false;
	return is;
}

static ssize_t fail_rest(struct verdict *verdict)
{
	verdict->rule = rest.rule;
	verdict->rule.what = WHAT_FAIL;
	hold(verdict);
	return finish(verdict, -1);
}

typedef ssize_t write_f(int fd, const void *bytes, size_t len, off_t at);

static ssize_t judge_write(write_f *really, enum call call, int fd, const void *bytes, size_t len, off_t at)
{
	struct verdict verdict = {
		.call = call, .fd = fd, .offset = at, .data = -1, .len = len, .bytes = bytes
	};
	char path[4096];
	ssize_t n;

	if (!rest.is_due && !is_wanted(call))
		return really(fd, bytes, len, at);
	verdict.path = path_of(fd, path);
	if (is_rest(fd, at))
		return fail_rest(&verdict);
	if (!is_judged(&verdict))
		return really(fd, bytes, len, at);
	if (verdict.rule.what != WHAT_SHORT)
		return finish(&verdict, is_made(&verdict) ? really(fd, bytes, len, at) : -1);
	if (!verdict.rule.bytes || verdict.rule.bytes >= len) {
		hold(&verdict);
		verdict.rule.what = WHAT_FAIL;
		return finish(&verdict, -1);
	}
	n = really(fd, bytes, verdict.rule.bytes, at);
	trace(&verdict, "made", n);
	tell(&verdict, verdict.rule.id, "short", n);
	rest = (struct rest){
		.is_due = n > 0, .rule = verdict.rule, .fd = fd, .at = at < 0 ? -1 : at + (off_t)n
	};
	return n;
}

static ssize_t really_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	BEHIND(ssize_t, pwrite64, int, const void *, size_t, off_t);

	return real(fd, bytes, len, at);
}

static ssize_t really_write(int fd, const void *bytes, size_t len, off_t at)
{
	BEHIND(ssize_t, write, int, const void *, size_t);

	(void)at;
	return real(fd, bytes, len);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
	return judge_write(really_pwrite, CALL_pwrite, fd, bytes, len, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	return judge_write(really_pwrite, CALL_pwrite, fd, bytes, len, at);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	return judge_write(really_write, CALL_write, fd, bytes, len, -1);
}

static int judge_ftruncate(int fd, off_t size)
{
	struct verdict verdict = { .call = CALL_ftruncate, .fd = fd, .offset = size, .data = -1 };
	char path[4096];

	BEHIND(int, ftruncate64, int, off_t);

	if (!is_wanted(CALL_ftruncate))
		return real(fd, size);
	verdict.path = path_of(fd, path);
	if (!is_judged(&verdict))
		return real(fd, size);
	return (int)finish(&verdict, is_made(&verdict) ? real(fd, size) : -1);
}

int ftruncate(int fd, off_t size)
{
	return judge_ftruncate(fd, size);
}

int ftruncate64(int fd, off_t size)
{
	return judge_ftruncate(fd, size);
}

/* ---- syncing and locking ---- */

int fsync(int fd)
{
	BEHIND(int, fsync, int);

	return (int)JUDGED(real(fd), CALL_fsync, fd, path_of(fd, text));
}

int fdatasync(int fd)
{
	BEHIND(int, fdatasync, int);

	return (int)JUDGED(real(fd), CALL_fdatasync, fd, path_of(fd, text));
}

int syncfs(int fd)
{
	BEHIND(int, syncfs, int);

	return (int)JUDGED(real(fd), CALL_syncfs, fd, path_of(fd, text));
}

int flock(int fd, int operation)
{
	BEHIND(int, flock, int, int);

	return (int)JUDGED(real(fd, operation), CALL_flock, fd, path_of(fd, text));
}

/* ---- names ---- */

int rename(const char *from, const char *to)
{
	BEHIND(int, rename, const char *, const char *);

	return (int)JUDGED(real(from, to), CALL_rename, -1, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	BEHIND(int, renameat, int, const char *, int, const char *);

	return (int)JUDGED(real(from_fd, from, to_fd, to), CALL_rename, -1, path_at(to_fd, to, text));
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	BEHIND(int, renameat2, int, const char *, int, const char *, unsigned);

	return (int)JUDGED(real(from_fd, from, to_fd, to, flags), CALL_rename, -1, path_at(to_fd, to, text));
}

int link(const char *from, const char *to)
{
	BEHIND(int, link, const char *, const char *);

	return (int)JUDGED(real(from, to), CALL_link, -1, to);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	BEHIND(int, linkat, int, const char *, int, const char *, int);

	return (int)JUDGED(real(from_fd, from, to_fd, to, flags), CALL_link, -1, path_at(to_fd, to, text));
}

int unlink(const char *path)
{
	BEHIND(int, unlink, const char *);

	return (int)JUDGED(real(path), CALL_unlink, -1, path);
}

int unlinkat(int fd, const char *path, int flags)
{
	BEHIND(int, unlinkat, int, const char *, int);

	return (int)JUDGED(real(fd, path, flags), CALL_unlink, -1, path_at(fd, path, text));
}

int mkdir(const char *path, mode_t mode)
{
	BEHIND(int, mkdir, const char *, mode_t);

	return (int)JUDGED(real(path, mode), CALL_mkdir, -1, path);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	BEHIND(int, mkdirat, int, const char *, mode_t);

	return (int)JUDGED(real(fd, path, mode), CALL_mkdir, -1, path_at(fd, path, text));
}

static int judge_open(int fd, const char *path, int flags, mode_t mode)
{
	BEHIND(int, openat64, int, const char *, int, ...);

	if (!(flags & O_CREAT))
		return real(fd, path, flags, mode);
	return (int)JUDGED(real(fd, path, flags, mode), CALL_create, -1, path_at(fd, path, text));
}

static mode_t mode_of(int flags, va_list list)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

#define OPENS(name)                                                                                          \
	int name(const char *path, int flags, ...)                                                           \
	{                                                                                                    \
		va_list list;                                                                                \
		mode_t mode;                                                                                 \
                                                                                                             \
		va_start(list, flags);                                                                       \
		mode = mode_of(flags, list);                                                                 \
		va_end(list);                                                                                \
		return judge_open(AT_FDCWD, path, flags, mode);                                              \
	}

#define OPENS_AT(name)                                                                                       \
	int name(int fd, const char *path, int flags, ...)                                                   \
	{                                                                                                    \
		va_list list;                                                                                \
		mode_t mode;                                                                                 \
                                                                                                             \
		va_start(list, flags);                                                                       \
		mode = mode_of(flags, list);                                                                 \
		va_end(list);                                                                                \
		return judge_open(fd, path, flags, mode);                                                    \
	}

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

/* ---- clocks ---- */

static bool counts_from_boot(clockid_t id)
{
	return id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_MONOTONIC_RAW ||
	       id == CLOCK_BOOTTIME;
}

static int64_t lag_of(clockid_t id)
{
	(void)pthread_once(&once, open_page);
	if (page && counts_from_boot(id))
		return atomic_load(&page->lag_us[0]);
	if (page && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		return atomic_load(&page->lag_us[1]);
	return 0;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t lag = lag_of(id), us;
	int status;

	BEHIND(int, clock_gettime, clockid_t, struct timespec *);

	status = real(id, ts);
	if (status || !lag)
		return status;
	us = (int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000 - lag;
	ts->tv_sec = us / 1000000;
	ts->tv_nsec = us % 1000000 * 1000;
	return 0;
}
