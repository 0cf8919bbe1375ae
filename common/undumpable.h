/* SPDX-License-Identifier: Apache-2.0 */
/*
 * undumpable - this process leaves no core file, and others of its user see neither its memory nor its environment.
 *
 * Keys, passwords on their way to be verified and what the environment held are all in memory. A core file takes them to
 * wherever the system collects such files, also where the limit of its size is 0 but a program collects them;
 * /proc/<pid>/environ and ptrace(2) give them to every process of the same user. Root and CAP_SYS_PTRACE see all the same.
 *
 * Thread  start-up, before there are others.
 */
#pragma once

void undumpable(void);
