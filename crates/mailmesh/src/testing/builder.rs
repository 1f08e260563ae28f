//! Builds a test cluster.

use std::fmt;

use mailmesh_codec::ClusterKey;

use super::TestError;
use super::cluster::TestCluster;
use super::template::{Each, NodeTemplate};
use crate::NodeBuilder;

/// Builds a [`TestCluster`].
pub struct TestClusterBuilder {
    names: Vec<String>,
    open: bool,
    each: Each,
}

impl TestCluster {
    /// A builder for nodes with these names.
    #[must_use]
    pub fn builder<N: Into<String>>(names: impl IntoIterator<Item = N>) -> TestClusterBuilder {
        TestClusterBuilder::new(names.into_iter().map(Into::into).collect())
    }

    /// Starts nodes with these names, sealed with a generated key, and waits until each node has
    /// every other as a member.
    ///
    /// # Errors
    /// Same as [`TestClusterBuilder::start`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn start<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, TestError> {
        Self::builder(names).start().await
    }
}

impl TestClusterBuilder {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names, open: false, each: Box::new(|builder| builder) }
    }

    /// Runs the nodes without a cluster key, and so without certificates. By default frames are
    /// sealed with a generated key.
    #[must_use]
    pub fn open_mesh(mut self) -> Self {
        self.open = true;
        self
    }

    /// Configures the builder of each node, at its start and at each restart, for example inbox
    /// bounds or the failure timeout. The test kit sets name, bus and wall clock itself.
    #[must_use]
    pub fn each(
        mut self,
        each: impl Fn(NodeBuilder) -> NodeBuilder + Send + Sync + 'static,
    ) -> Self {
        self.each = Box::new(each);
        self
    }

    /// Starts the nodes, and waits until each node has every other as a member.
    ///
    /// # Errors
    /// [`TestError::Start`], [`TestError::SameName`], [`TestError::NotConverged`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn start(self) -> Result<TestCluster, TestError> {
        let key = (!self.open).then(ClusterKey::generate).transpose();
        let key = key.map_err(|_| TestError::Start {
            name: self.names.first().cloned().unwrap_or_default(),
            source: crate::StartError::Random,
        })?;
        let cluster = TestCluster::new(NodeTemplate::new(key, self.each));
        for name in self.names {
            cluster.add(name).await?;
        }
        cluster.converged().await?;
        Ok(cluster)
    }
}

impl fmt::Debug for TestClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClusterBuilder").field("names", &self.names).finish_non_exhaustive()
    }
}
