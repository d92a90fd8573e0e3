// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd.h"

int main(int argc, char *argv[], char *envp[])
{
	return cli_main(argc, argv, envp, stdout, stderr);
}
