/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/check.h"
#include "common/file.h"
#include "common/json.h"
#include "worker/cluster/data_file.h"

static bool has_after(struct str line)
{
	return memmem(line.at, line.len, "\"after\":", 8) != NULL;
}

static bool parse(struct str line, struct usage_report *ret, struct error *err)
{
	if (!usage_report_parse(line, ret, err))
		return false;
	if (ret->seq && !has_after(line))
		ret->after = ret->seq - 1;
	return true;
}

struct loading {
	struct counts_queue *queue;
	size_t bad;       /* lines */
	struct error why; /* the first of them */
};

static void load_line(struct loading *loading, struct str line)
{
	struct usage_report report = { 0 };
	struct error why;

	if (parse(line, &report, &why))
		counts_queue_add(loading->queue, &report);
	else if (!loading->bad++)
		loading->why = why;
}

/* Before format 2 there is no line that says it. */
static bool check_format(struct str text, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct str line;
	int64_t format = 1;

	if (str_until(&text, '\n', &line) && json_parse(line, &doc, NULL))
		(void)json_get_int(json_find(json_root(doc), "journal"), &format);
	return format <= 1 || data_file_newer((uint64_t)format, 1, err);
}

static bool load_lines(struct str rest, struct counts_queue *queue, struct error *err)
{
	struct loading loading = { .queue = queue };
	struct str line;

	while (str_until(&rest, '\n', &line))
		load_line(&loading, line);
	if (rest.len)
		load_line(&loading, rest);
	return !loading.bad || error_set(err, ERROR_INVALID, NULL, "%zu lines cannot be read, the first: %s",
				       loading.bad, loading.why.text);
}

bool journal_load(const char *path, struct counts_queue *queue, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(JOURNAL_MAX);
	struct error why;

	file_tighten(path);
	if (!file_read(path, &text, &why)) {
		if (why.kind != ERROR_UNKNOWN && err)
			*err = why;
		return why.kind == ERROR_UNKNOWN;
	}
	return (check_format(buf_str(&text), err) && load_lines(buf_str(&text), queue, err)) ||
	       error_add(err, "%s", path);
}

bool journal_save(const char *path, struct str lines, struct error *err)
{
	return file_write_durable(path, lines, 0600, err);
}

bool journal_refuse(const char *path, struct str line, struct error *err)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) != 0)
		return error_sys(err, "open %s", path);
	if ((uint64_t)stat.st_size + line.len > JOURNAL_REFUSED_MAX)
		return error_set(err, ERROR_FULL, NULL, "%s has %lld bytes; at most %u are kept", path,
			(long long)stat.st_size, JOURNAL_REFUSED_MAX);
	if (!file_write_all(fd, line.at, line.len, err))
		return false;
	return fdatasync(fd) == 0 || error_sys(err, "sync %s", path);
}
