/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/check.h"
#include "common/file.h"
#include "common/log.h"

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

bool journal_load(const char *path, struct counts_queue *queue, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(JOURNAL_MAX);
	struct error why;
	struct str rest, line;

	file_tighten(path);
	if (!file_read(path, &text, &why)) {
		if (why.kind == ERROR_UNKNOWN)
			return true;
		if (err)
			*err = why;
		return false;
	}
	for (rest = buf_str(&text); str_until(&rest, '\n', &line);) {
		struct usage_report report = { 0 };
		if (parse(line, &report, &why))
			counts_queue_add(queue, &report);
		else
			log_warn("journal.line", "path=%s error=%s ignoring", log_quote(str_of(path)),
				log_quote(str_of(why.text)));
	}
	return true;
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
