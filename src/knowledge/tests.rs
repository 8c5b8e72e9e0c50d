//! Are the right documents found?

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

const POOL: &str = "---\ntitle: Connection pool exhausted\ntags: [Database, errors]\nseverity: 2\n---\n# Pool\n\nCallers wait.\n\n## Check\n\nIdle transactions in `pg_stat_activity`.\n";
const DISK: &str =
    "# NodeDiskFull\n\nThe filesystem has no room left.\n\n```sh\n# not a heading\ndf -h\n```\n\n## Act\n\nRemove old images.\n";

fn found(source: &Runbooks, text: &str, filters: &[(&str, &str)]) -> Vec<(String, String, usize)> {
    let filters = filters.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect();
    let passages = source.search(&Query { text: text.to_owned(), filters, limit: 5 }).unwrap();
    passages.into_iter().map(|p| (p.document, p.section, p.line)).collect()
}

fn at(document: &str, section: &str, line: usize) -> (String, String, usize) {
    (document.to_owned(), section.to_owned(), line)
}

#[test]
fn the_part_that_fits_best_is_shown_with_its_line() {
    let folder = folder(&[("db/pool.md", POOL), ("disk.md", DISK), ("notes.txt", "pool pool pool")]);
    let runbooks = Runbooks::open(folder.path()).unwrap();
    assert_eq!(found(&runbooks, "many idle transactions", &[]), [at("db/pool.md", "Check", 10)]);
    assert_eq!(
        found(&runbooks, "removing an old image", &[]),
        [at("disk.md", "Act", 10)],
        "words are stemmed, code has no headings"
    );
    assert_eq!(found(&runbooks, "NodeDiskFull", &[])[0].0, "disk.md", "the name of an alert");
    assert_eq!(found(&runbooks, "the machine has no space on its disk", &[])[0].0, "disk.md", "other words for the same");
    assert!(found(&runbooks, "zebra", &[]).is_empty());
    assert!(found(&runbooks, "", &[]).is_empty());
}

#[test]
fn front_matter_filters() {
    let folder = folder(&[("pool.md", POOL), ("disk.md", DISK)]);
    let runbooks = Runbooks::open(folder.path()).unwrap();
    let pool = [at("pool.md", "Pool", 6)];
    assert_eq!(found(&runbooks, "callers wait", &[("tags", "database")]), pool);
    assert_eq!(found(&runbooks, "callers wait", &[("tags", "ERRORS"), ("severity", "2")]), pool);
    assert!(found(&runbooks, "callers wait", &[("tags", "errors"), ("severity", "3")]).is_empty());
    assert!(found(&runbooks, "callers wait", &[("team", "payments")]).is_empty());
    assert_eq!(runbooks.tags().unwrap(), [("database".to_owned(), 1), ("errors".to_owned(), 1)]);
}

#[test]
fn a_changed_folder_is_read_again() {
    let folder = folder(&[("pool.md", POOL)]);
    let runbooks = Runbooks::open(folder.path()).unwrap();
    assert!(found(&runbooks, "zebra", &[]).is_empty());
    fs::write(folder.path().join("zebra.md"), "A zebra in the server room.").unwrap();
    assert_eq!(found(&runbooks, "zebra", &[]), [at("zebra.md", "", 1)]);
    fs::remove_file(folder.path().join("zebra.md")).unwrap();
    assert!(found(&runbooks, "zebra", &[]).is_empty());
}

#[test]
fn odd_files_are_searched_too() {
    let broken = "---\ntitle: [\n---\nquagga";
    let folder = folder(&[
        ("empty.md", ""),
        ("open.md", "---\ntitle: never closed\nquagga"),
        ("broken.md", broken),
        ("windows.md", "---\r\ntitle: Quagga\r\n---\r\ntext\r\n"),
        ("ünïcode.md", "# Größe\n\nÜberlauf des Puffers\n"),
    ]);
    fs::write(folder.path().join("bytes.md"), [b'q', b'u', b'a', b'g', b'g', b'a', 0xff, 0xfe]).unwrap();
    let runbooks = Runbooks::open(folder.path()).unwrap();
    let mut documents: Vec<String> = found(&runbooks, "quagga", &[]).into_iter().map(|(document, ..)| document).collect();
    documents.sort();
    assert_eq!(documents, ["broken.md", "bytes.md", "open.md", "windows.md"]);
    assert_eq!(found(&runbooks, "überlauf", &[]), [at("ünïcode.md", "Größe", 1)]);
}

#[test]
fn several_folders_and_own_sources_are_one_body() {
    struct Own;
    impl Source for Own {
        fn search(&self, _: &Query) -> Result<Vec<Passage>, KnowledgeError> {
            let text = String::new;
            Ok(vec![Passage { document: "one".to_owned(), title: text(), section: text(), line: 1, text: text(), score: 1e6 }])
        }

        fn read(&self, document: &str) -> Result<String, KnowledgeError> {
            Ok(format!("all of {document}"))
        }
    }
    let folder = folder(&[("a/pool.md", POOL), ("b/disk.md", DISK)]);
    let root = folder.path().to_owned();
    let mut knowledge = Knowledge::new(Box::new(move |name| Ok(root.join(name))));
    knowledge.add("wiki", Arc::new(Own));
    let folders = ["a", "b", "wiki"].map(str::to_owned);
    let query = |limit| Query { text: "pool filesystem".to_owned(), limit, ..Query::default() };
    let documents = |limit| -> Vec<String> {
        knowledge.search(&folders, &query(limit)).unwrap().into_iter().map(|passage| passage.document).collect()
    };
    assert_eq!(documents(1), ["wiki/one"]);
    let mut all = documents(9);
    all.sort();
    assert_eq!(all, ["a/pool.md", "b/disk.md", "wiki/one"]);
    assert_eq!(knowledge.read(&folders, "b/disk.md").unwrap(), DISK);
    assert_eq!(knowledge.read(&folders, "wiki/one").unwrap(), "all of one");
    for document in ["c/disk.md", "b/../a/pool.md", "disk.md", ""] {
        assert!(knowledge.read(&folders, document).is_err(), "{document}");
    }
    assert!(knowledge.search(&["gone".to_owned()], &query(1)).is_err());
}

/// Alerts and symptoms as people put them, each with the runbook that is meant.
#[test]
fn real_runbooks_are_found_by_alert_and_by_symptom() {
    let Some(data) = std::env::var_os("SYNOD_SHARED") else {
        println!("left out: SYNOD_SHARED names no data");
        return;
    };
    let folder = Path::new(&data).join("runbooks/content");
    let runbooks = Runbooks::open(&folder).expect("the runbooks are in the shared data");
    let first_three = |text: &str| -> Vec<String> {
        let query = Query { text: text.to_owned(), limit: 3, ..Query::default() };
        runbooks.search(&query).unwrap().into_iter().map(|passage| passage.document).collect()
    };
    let is_alert = |path: &&Path| !path.file_stem().is_some_and(|name| name == "_index" || name == "add-runbook");
    let begun = Instant::now();
    first_three("begin");
    let indexed = begun.elapsed();
    let files = runbooks.files();
    let alerts: Vec<String> =
        files.iter().map(|(path, ..)| path.as_path()).filter(is_alert).map(|path| runbooks.shown(path)).collect();
    assert!(alerts.len() > 100, "{}", alerts.len());
    let name = |document: &str| Path::new(document).file_stem().unwrap().to_string_lossy().into_owned();
    let right = alerts.iter().filter(|document| first_three(&name(document)).iter().any(|found| found == *document)).count();
    println!("{right} of {} alerts", alerts.len());
    assert!(right * 100 >= alerts.len() * 95);
    let missed: Vec<String> = (SYMPTOMS.iter())
        .filter(|(alert, symptom)| !first_three(symptom).iter().any(|document| name(document) == *alert))
        .map(|(alert, symptom)| format!("{alert}: {symptom}: {:?}", first_three(symptom)))
        .collect();
    println!("{} of {} symptoms; missed:\n{}", SYMPTOMS.len() - missed.len(), SYMPTOMS.len(), missed.join("\n"));
    assert!(missed.len() * 100 <= SYMPTOMS.len() * 20);
    let times: Vec<Duration> = (SYMPTOMS.iter())
        .map(|(_, symptom)| {
            let begun = Instant::now();
            first_three(symptom);
            begun.elapsed()
        })
        .collect();
    let (sum, longest) = (times.iter().sum::<Duration>(), times.iter().max().copied().unwrap_or_default());
    println!(
        "indexing {} files and a query {indexed:?}; a query {:?}, the longest {longest:?}",
        files.len(),
        sum / u32::try_from(times.len()).unwrap()
    );
}

const SYMPTOMS: &[(&str, &str)] = &[
    ("KubePodCrashLooping", "container keeps restarting over and over"),
    ("KubePodNotReady", "pods stay in pending state and are not becoming ready for a long time"),
    ("NodeFilesystemAlmostOutOfSpace", "the disk of a node is nearly full"),
    ("NodeFilesystemAlmostOutOfFiles", "running out of inodes on a node"),
    ("NodeFilesystemSpaceFillingUp", "disk predicted to be full within a day"),
    ("NodeNetworkReceiveErrs", "network interface reports many errors receiving packets"),
    ("NodeNetworkTransmitErrs", "interface has errors when sending packets"),
    ("NodeRAIDDegraded", "software raid array lost a disk and runs degraded"),
    ("NodeRAIDDiskFailure", "a device in the md array failed"),
    ("NodeClockNotSynchronising", "ntp is not syncing the time on the host"),
    ("NodeClockSkewDetected", "system time of a machine is off by more than 300 seconds"),
    ("NodeHighNumberConntrackEntriesUsed", "connection tracking table is close to its limit"),
    ("NodeFileDescriptorLimit", "kernel is about to exhaust open file handles"),
    ("NodeTextFileCollectorScrapeError", "node exporter failed to parse a textfile metric"),
    ("NodeNetworkInterfaceFlapping", "nic goes up and down all the time"),
    ("etcdNoLeader", "etcd cluster cannot elect a leader"),
    ("etcdHighFsyncDurations", "write ahead log syncs of etcd take too long, slow disks"),
    ("etcdMembersDown", "one etcd member is unavailable"),
    ("etcdInsufficientMembers", "etcd lost quorum"),
    ("etcdBackendQuotaLowSpace", "etcd database size is close to its quota"),
    ("etcdGRPCRequestsSlow", "grpc calls to etcd have high latency"),
    ("etcdHighNumberOfFailedGRPCRequests", "many grpc requests to etcd fail"),
    ("KubeAPIDown", "cannot reach the kubernetes api server at all"),
    ("KubeAPITerminatedRequests", "apiserver is rejecting many incoming requests"),
    ("KubeAPIErrorBudgetBurn", "too many slow or failing calls of the api server, slo endangered"),
    ("KubeAggregatedAPIDown", "extension api service is unavailable"),
    ("KubeAggregatedAPIErrors", "aggregated apiservice reports errors"),
    ("KubeNodeNotReady", "worker machine has NotReady condition"),
    ("KubeNodeUnreachable", "node cannot be contacted, workloads will be rescheduled"),
    ("KubeNodeReadinessFlapping", "node switches between ready and not ready repeatedly"),
    ("KubeletDown", "node agent disappeared from prometheus targets"),
    ("KubeletTooManyPods", "a node runs close to its maximum count of pods"),
    ("KubeletPlegDurationHigh", "pod lifecycle event generator is slow"),
    ("KubeletPodStartUpLatencyHigh", "it takes a minute until pods start on this node"),
    ("KubeletClientCertificateExpiration", "kubelet client cert expires soon"),
    ("KubeletServerCertificateExpiration", "serving certificate of a kubelet will expire in a week"),
    ("KubeletClientCertificateRenewalErrors", "kubelet cannot renew its client certificate"),
    ("KubeClientCertificateExpiration", "a client authenticates to the api server with a certificate that is about to expire"),
    ("KubeCPUOvercommit", "sum of cpu requests exceeds what the cluster can give if a node fails"),
    ("KubeMemoryOvercommit", "memory requests of pods cannot be tolerated on node failure"),
    ("KubeQuotaAlmostFull", "namespace uses 95 percent of its resource quota"),
    ("KubeQuotaExceeded", "namespace is over its resource quota"),
    ("KubeVersionMismatch", "different semantic versions of kubernetes components are running"),
    ("KubeStatefulSetReplicasMismatch", "stateful set does not have the expected number of replicas"),
    ("KubeStatefulSetUpdateNotRolledOut", "update of a statefulset is stuck"),
    ("KubeDeploymentReplicasMismatch", "deployment has fewer replicas than desired"),
    ("KubeDeploymentGenerationMismatch", "deployment failed and was not rolled back, observed generation differs"),
    ("KubeDaemonSetRolloutStuck", "daemon set update hangs"),
    ("KubeDaemonSetNotScheduled", "some daemon set pods are not scheduled"),
    ("KubeDaemonSetMisScheduled", "daemonset pods run on nodes where they are not supposed to"),
    ("KubeJobFailed", "a batch job did not complete successfully"),
    ("KubeJobCompletion", "job takes more than twelve hours to finish"),
    ("KubeHpaMaxedOut", "autoscaler runs at maximum replicas"),
    ("KubeHpaReplicasMismatch", "horizontal pod autoscaler did not reach the desired number of replicas"),
    ("KubePersistentVolumeFillingUp", "persistent volume claim has little free space"),
    ("KubePersistentVolumeErrors", "volume provisioning fails"),
    ("CPUThrottlingHigh", "processes experience elevated throttling because of cpu limits"),
    ("KubeContainerWaiting", "container stuck in waiting because image cannot be pulled"),
    ("KubeSchedulerDown", "new pods are not assigned to nodes, scheduler disappeared"),
    ("KubeControllerManagerDown", "controller manager has vanished from target discovery"),
    ("KubeProxyDown", "services are unreachable, network proxy on nodes is not running"),
    ("KubeClientErrors", "api server client is experiencing errors"),
    ("PrometheusBadConfig", "prometheus failed to reload its configuration"),
    ("PrometheusNotConnectedToAlertmanagers", "prometheus is not connected to any alert receiver"),
    ("PrometheusRuleFailures", "evaluating recording rules fails"),
    ("PrometheusRemoteWriteBehind", "remote storage write is lagging"),
    ("PrometheusTSDBCompactionsFailing", "time series database cannot compact blocks"),
    ("PrometheusDuplicateTimestamps", "samples with same timestamp but different values are dropped"),
    ("PrometheusTargetLimitHit", "scrape targets dropped because there are too many"),
    ("PrometheusNotificationQueueRunningFull", "queue for sending alerts is running full"),
    ("AlertmanagerFailedReload", "alert manager could not load its new config"),
    ("AlertmanagerConfigInconsistent", "instances of alertmanager have different configuration"),
    ("AlertmanagerMembersInconsistent", "alertmanager has not found all other cluster members"),
    ("AlertmanagerClusterDown", "half of the alertmanager instances are down"),
    ("AlertmanagerFailedToSendAlerts", "notifications to slack or pagerduty fail"),
    ("TargetDown", "exporter endpoint cannot be scraped"),
    ("Watchdog", "alerting pipeline dead man switch"),
    ("KubeStateMetricsListErrors", "kube state metrics cannot list objects"),
    ("PrometheusOperatorNotReady", "prometheus operator is not ready to reconcile"),
    ("ConfigReloaderSidecarErrors", "sidecar of config reloader fails"),
];
