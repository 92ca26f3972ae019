//! The zoo's float networks and their data: what the table and the benchmarks go over.

use std::path::PathBuf;

use crate::run::Outcome;

/// `x / 255` as users write it for `--preprocess`.
pub(crate) const UNIT: f64 = 0.003_921_568_62;

/// One network, with the data to calibrate and to test it.
pub(crate) struct Network {
    pub(crate) name: &'static str,
    folder: &'static str,
    /// None where training found the scales.
    calibration: Option<&'static str>,
    test: &'static str,
    /// What the data is multiplied by before the network sees it.
    pub(crate) scale: Option<f64>,
    /// The task's metric on the test data: "accuracy", "mse", or none where the data has no labels.
    pub(crate) metric: Option<&'static str>,
}

impl Network {
    pub(crate) fn model(&self) -> Outcome<PathBuf> {
        Ok(folder()?.join(self.folder).join(format!("{}.tflite", self.name)))
    }

    pub(crate) fn calibration(&self) -> Outcome<Option<PathBuf>> {
        let data = folder()?.join("data");
        Ok(self.calibration.map(|name| data.join(name)))
    }

    pub(crate) fn test(&self) -> Outcome<PathBuf> {
        Ok(folder()?.join("data").join(self.test))
    }

    /// What a peer (`tf` or `lq`) made of it in a mode of the peer's naming, if it did.
    pub(crate) fn peer(&self, peer: &str, mode: &str) -> Outcome<Option<PathBuf>> {
        let path = folder()?.join("peers").join(format!("{}.{peer}.{mode}.tflite", self.name));
        Ok(path.is_file().then_some(path))
    }
}

/// The seven float networks.
pub(crate) const NETWORKS: [Network; 7] = [
    Network {
        name: "sine",
        folder: "ours",
        calibration: Some("sine_calibration.npy"),
        test: "sine_test.npz",
        scale: None,
        metric: Some("mse"),
    },
    Network {
        name: "slides",
        folder: "ours",
        calibration: Some("slides_calibration.npy"),
        test: "slides_test.npz",
        scale: None,
        metric: Some("mse"),
    },
    Network {
        name: "mnist_cnn",
        folder: "ours",
        calibration: Some("mnist_calibration.npz"),
        test: "mnist_test.npz",
        scale: Some(UNIT),
        metric: Some("accuracy"),
    },
    Network {
        name: "mnist_dw",
        folder: "ours",
        calibration: Some("mnist_calibration.npz"),
        test: "mnist_test.npz",
        scale: Some(UNIT),
        metric: Some("accuracy"),
    },
    Network {
        name: "resnet8",
        folder: "mlperf-tiny",
        calibration: Some("resnet8_calibration.npz"),
        test: "resnet8_test.npz",
        scale: None,
        metric: Some("accuracy"),
    },
    Network {
        name: "kws",
        folder: "mlperf-tiny",
        calibration: Some("kws_calibration.npz"),
        test: "kws_test.npz",
        scale: None,
        metric: Some("accuracy"),
    },
    Network {
        name: "vww96",
        folder: "mlperf-tiny",
        calibration: Some("vww96_calibration.npz"),
        test: "vww96_test.npz",
        scale: Some(UNIT),
        metric: None,
    },
];

/// The network that was trained with the rounding of integers in it.
pub(crate) const TRAINED: Network =
    Network { name: "mnist_qat", folder: "ours", calibration: None, test: "mnist_test.npz", scale: Some(UNIT), metric: Some("accuracy") };

/// TensorFlow Lite Micro's example, a sine.
pub(crate) const HELLO: Network = Network {
    name: "hello_world_float",
    folder: "tflm",
    calibration: Some("sine_calibration.npy"),
    test: "sine_test.npz",
    scale: None,
    metric: None,
};

/// The float networks of these names, or all.
pub(crate) fn networks(names: &[String]) -> Outcome<Vec<&'static Network>> {
    if let Some(unknown) = names.iter().find(|n| NETWORKS.iter().all(|k| k.name != **n)) {
        return Err(format!("no float network {unknown} in the zoo"));
    }
    Ok(NETWORKS.iter().filter(|k| names.is_empty() || names.iter().any(|n| n == k.name)).collect())
}

fn folder() -> Outcome<PathBuf> {
    octet_peers::zoo().ok_or_else(|| "no model zoo: neither ../shared/zoo nor $OCTET_ZOO".into())
}
