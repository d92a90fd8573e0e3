# SPDX-License-Identifier: GPL-2.0-or-later
<#
.SYNOPSIS
Faults on db and auth, and real traffic, until the detector alerts and the operator has the incident.

.DESCRIPTION
Arms a time-out on db (2 s late, half of the requests) and errors on auth (half of them), each
through its own POST /inject-failure, and sends real journeys through the shop (sign up, log in,
products, cart, checkout), until the detector says that a service is anomalous and the operator has
an incident of it. Prints both. Then it stops the traffic and resets what it armed, also on Ctrl-C;
the faults end by themselves in any case. Exit status: 0 both were seen, 1 not, 2 usage.

.PARAMETER Timeout
Give up after so many seconds.

.PARAMETER Users
How many shop at the same time.

.PARAMETER Keep
Leave the faults armed until they end by themselves.

.EXAMPLE
./tools/generate_errors.ps1 -Timeout 60
#>
[CmdletBinding()]
param(
	[ValidateRange(1, 9999)] [int] $Timeout = 120,
	[ValidateRange(1, 64)] [int] $Users = 8,
	[switch] $Keep,
	[Alias('h')] [switch] $Help
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

if ($Help) {
	Get-Help $PSCommandPath -Detailed
	exit 0
}

function Get-Url([string] $Name, [int] $Port) {
	$value = [Environment]::GetEnvironmentVariable($Name)
	if ($value) { return $value.TrimEnd('/') }
	return "http://127.0.0.1:$Port"
}

$auth = Get-Url 'AUTH_SERVICE_URL' 8001
$db = Get-Url 'DB_SERVICE_URL' 8002
$product = Get-Url 'PRODUCT_SERVICE_URL' 8003
$payment = Get-Url 'PAYMENT_SERVICE_URL' 8004
$operator = Get-Url 'AI_OPERATOR_URL' 8005
$detector = Get-Url 'ANOMALY_DETECTOR_URL' 8006
$armed = [System.Collections.Generic.List[string]]::new()
$jobs = @()

function Enable-Fault([string] $Url, [string] $Query) {
	$answer = Invoke-RestMethod -Method Post -Uri "$Url/inject-failure?$Query" -TimeoutSec 20
	$armed.Add($Url)
	Write-Output "armed:    $($answer.says)"
}

# One user, in a process of its own: what fails is the point, and is passed over.
$journey = {
	param([string] $Auth, [string] $Product, [string] $Payment, [string] $Name, [datetime] $Until)

	function Send-Request([string] $Method, [string] $Uri, [string] $Body, [string] $Token) {
		$headers = @{}
		if ($Token) { $headers['Authorization'] = "Bearer $Token" }
		$request = @{ Method = $Method; Uri = $Uri; Headers = $headers; TimeoutSec = 15 }
		if ($Body) {
			$request['Body'] = $Body
			$request['ContentType'] = 'application/json'
		}
		try { return Invoke-RestMethod @request } catch { return $null }
	}

	$account = @{ email = "$Name@errors.example"; password = "pass of $Name" } | ConvertTo-Json -Compress
	while ([datetime]::UtcNow -lt $Until) {
		$null = Send-Request 'Post' "$Auth/signup" $account ''
		$answer = Send-Request 'Post' "$Auth/login" $account ''
		if ($null -eq $answer) { continue }
		$token = $answer.access_token
		$item = @{ product_id = 'p1'; quantity = 1 } | ConvertTo-Json -Compress
		for ($i = 0; $i -lt 20; $i++) {
			$null = Send-Request 'Get' "$Product/products" '' $token
			$null = Send-Request 'Post' "$Product/cart/add" $item $token
			$null = Send-Request 'Get' "$Product/cart" '' $token
			$null = Send-Request 'Post' "$Payment/create-checkout-session" '{}' $token
		}
	}
}

function Get-Incident {
	return @((Invoke-RestMethod -Uri "$operator/incidents?limit=20" -TimeoutSec 5).items)
}

$status = 1
try {
	try {
		$null = Invoke-RestMethod -Uri "$detector/health" -TimeoutSec 5
		$old = @(Get-Incident | ForEach-Object { $_.id })
		Enable-Fault $db "type=timeout&intensity=1&probability=0.5&duration=$($Timeout + 30)"
		Enable-Fault $auth "type=error&probability=0.5&duration=$($Timeout + 30)"
	} catch {
		[Console]::Error.WriteLine("generate_errors.ps1: $($_.Exception.Message) (make up starts services and daemon)")
		exit 1
	}
	$run = [guid]::NewGuid().ToString('N').Substring(0, 8)
	$until = [datetime]::UtcNow.AddSeconds($Timeout)
	$jobs = @(1..$Users | ForEach-Object {
			Start-Job -ScriptBlock $journey -ArgumentList $auth, $product, $payment, "user-$run-$_", $until
		})
	Write-Output "traffic:  $Users users"

	$alert = $null
	while ([datetime]::UtcNow -lt $until) {
		if (-not $alert) {
			$scores = @((Invoke-RestMethod -Uri "$detector/scores" -TimeoutSec 5).items)
			$alert = $scores | Where-Object { $_.anomalous } | Select-Object -First 1
			if ($alert) {
				Write-Output "detector: $($alert.service) is anomalous: score $($alert.score), threshold $($alert.threshold), by $($alert.scorer)"
			}
		}
		# A new one; or one that is open still: what comes now is added to it.
		$incident = Get-Incident | Where-Object { $old -notcontains $_.id -or -not $_.closed_at } | Select-Object -First 1
		if ($alert -and $incident) {
			$cause = if ($incident.root_cause) { $incident.root_cause.service } else { 'not known yet' }
			Write-Output "operator: $($incident.id), $($incident.state), root cause $cause"
			$status = 0
			break
		}
		Start-Sleep -Milliseconds 500
	}
	if ($status -ne 0) {
		[Console]::Error.WriteLine("generate_errors.ps1: no alert and incident within $Timeout s; is the service attached (archaic-ebpf services)?")
	}
} finally {
	$jobs | Stop-Job -PassThru | Remove-Job -Force
	if (-not $Keep) {
		foreach ($url in $armed) {
			try {
				$null = Invoke-RestMethod -Method Post -Uri "$url/reset" -TimeoutSec 10
			} catch {
				[Console]::Error.WriteLine("generate_errors.ps1: $url could not be reset; its fault ends by itself")
			}
		}
	}
}
exit $status
