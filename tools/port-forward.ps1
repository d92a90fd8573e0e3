# SPDX-License-Identifier: GPL-2.0-or-later
<#
.SYNOPSIS
The six services of a cluster on this machine's ports, in the background.

.DESCRIPTION
start (the default) forwards auth-service 8001, db-service 8002, product-service 8003,
payment-service 8004, ai-operator 8005 and anomaly-detector 8006 by one kubectl port-forward each,
on 127.0.0.1. stop ends them all, and can be said twice. status lists them; its exit status is 1
where one is missing.

.PARAMETER Verb
start, stop or status.

.PARAMETER Namespace
Of the services.

.PARAMETER Context
Of kubectl; default its current one.

.EXAMPLE
./tools/port-forward.ps1

.EXAMPLE
./tools/port-forward.ps1 stop
#>
[CmdletBinding()]
param(
	[Parameter(Position = 0)] [ValidateSet('start', 'stop', 'status')] [string] $Verb = 'start',
	[ValidatePattern('^[A-Za-z0-9][A-Za-z0-9.-]*$')] [string] $Namespace = 'archaics',
	[ValidatePattern('^[A-Za-z0-9][A-Za-z0-9._:/@-]*$')] [string] $Context,
	[Alias('h')] [switch] $Help
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

if ($Help) {
	Get-Help $PSCommandPath -Detailed
	exit 0
}

$services = [ordered] @{
	'auth-service' = 8001
	'db-service' = 8002
	'product-service' = 8003
	'payment-service' = 8004
	'ai-operator' = 8005
	'anomaly-detector' = 8006
}
$folder = Join-Path ([IO.Path]::GetTempPath()) "archaic-port-forward-$([Environment]::UserName)"

# The kubectl that was started for a service, if it is alive: a pid may have been given to somebody else since.
function Get-Forward([string] $Name) {
	$file = Join-Path $folder "$Name.pid"
	if (-not (Test-Path $file)) { return $null }
	$process = Get-Process -Id ([int] (Get-Content $file -TotalCount 1)) -ErrorAction SilentlyContinue
	if ($process -and $process.ProcessName -like 'kubectl*') { return $process }
	return $null
}

function Start-Forward([string] $Name, [int] $Port) {
	$process = Get-Forward $Name
	if ($process) {
		Write-Output "${Name}: forwarded already (process $($process.Id))"
		return
	}
	$arguments = @('--namespace', $Namespace, 'port-forward', '--address', '127.0.0.1', "service/$Name", "${Port}:${Port}")
	if ($Context) { $arguments = @('--context', $Context) + $arguments }
	$process = Start-Process -FilePath 'kubectl' -ArgumentList $arguments -PassThru `
		-RedirectStandardOutput (Join-Path $folder "$Name.log") `
		-RedirectStandardError (Join-Path $folder "$Name.err")
	Set-Content -Path (Join-Path $folder "$Name.pid") -Value $process.Id
	Write-Output "${Name}: http://127.0.0.1:$Port"
}

$status = 0
switch ($Verb) {
	'start' {
		if (-not (Get-Command kubectl -ErrorAction SilentlyContinue)) {
			[Console]::Error.WriteLine('port-forward.ps1: kubectl was not found')
			exit 1
		}
		$null = New-Item -ItemType Directory -Path $folder -Force
		foreach ($service in $services.GetEnumerator()) { Start-Forward $service.Key $service.Value }
		Write-Output 'Stop: ./tools/port-forward.ps1 stop'
	}
	'stop' {
		foreach ($name in $services.Keys) {
			$process = Get-Forward $name
			if ($process) {
				Stop-Process -Id $process.Id -Force
				Write-Output "${name}: stopped"
			}
		}
		if (Test-Path $folder) { Remove-Item -Path $folder -Recurse -Force }
	}
	'status' {
		foreach ($service in $services.GetEnumerator()) {
			$process = Get-Forward $service.Key
			if ($process) {
				Write-Output "$($service.Key): http://127.0.0.1:$($service.Value) (process $($process.Id))"
			} else {
				Write-Output "$($service.Key): not forwarded"
				$status = 1
			}
		}
	}
}
exit $status
